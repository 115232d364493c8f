"""A till that speaks the Korean message family, as tills of the open sample do: QR-MPM, direct.

Prints the text of its code (draw it as a QR code), waits, and prints what was shown. What it had to change to talk to
mapae: the server's address, and one header with an API key. MAPAE is the verifier's address, MAPAE_KEY the key.
"""

import base64
import json
import os
import sys
import time
import urllib.request

SERVER, KEY = os.environ["MAPAE"] + "/gateway", os.environ["MAPAE_KEY"]


def call(path: str, message: dict) -> dict:
    data = base64.urlsafe_b64encode(json.dumps(message).encode()).decode().rstrip("=")
    request = urllib.request.Request(  # noqa: S310  the address is ours to choose
        SERVER + path,
        json.dumps({"data": data}).encode(),
        {"Content-Type": "application/json; charset=UTF-8", "Authorization": f"Bearer {KEY}"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        said = json.load(answer)
    inner = json.loads(base64.urlsafe_b64decode(said["data"] + "=" * (-len(said["data"]) % 4)))
    if not said["result"]:  # an M900
        sys.exit(f"{inner['errcode']} {inner['errmsg']}")
    return inner


def main(service: str) -> None:
    till = {"cmd": "510", "mode": "direct", "svcCode": service, "branchName": "Sejong", "deviceId": "till-1"}
    started = call("/qrmpm/start", till)
    print(started["m200Base64"], flush=True)
    m200 = json.loads(base64.urlsafe_b64decode(started["m200Base64"] + "==="))
    while (standing := call("/mip/trxsts", {"trxcode": m200["trxcode"]}))["trxStsCode"] not in ("0004", "0005"):
        time.sleep(1)
    if standing["trxStsCode"] == "0005":
        sys.exit(standing["errorCn"])
    print(json.dumps(call("/mip/vpdata", {"trxcode": m200["trxcode"]}), ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "alcohol_tobacco")
