"""Other people's libraries doing the same work as ours, with what each leaves out.

Each is handed the very bytes ours is handed, and parsed keys and certificates wherever its interface takes them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from jwcrypto.jwk import JWK  # type: ignore[import-untyped]
from pymdoccbor.mdoc.issuer import MdocCborIssuer
from pymdoccbor.mdoc.verifier import MdocCbor
from sd_jwt.common import SDObj
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

from bench.harness import Candidate, Here
from bench.node import Node
from mapae.formats.jose import b64u, unb64u
from mapae.verifier.checking.check import Format

if TYPE_CHECKING:
    from bench.library import Bench

UNCHECKED: Mapping[str, str] = {
    "sd-jwt": "no certificate chain, dates, status or surplus disclosures",
    "sd-jwt-js": "no certificate chain; the audience is compared by the benchmark. Its copies name no status list: it"
    " would verify that list's token anew each time",
    "@owf/mdoc": "no status",
    "@auth0/mdl": "no status; its certificate chain check is switched off, because it would build the chain each time",
    "oid4vc-ts": "no status, no trust list and no session that asked, and stores nothing durably: codes, nonces and"
    " verdicts stay in memory."
    " The host's code around it is the interop suite's, its cards are the libraries' above, and have no portrait",
    "pymdoccbor": "no device signature, certificate chain, dates, docType or status",
}
PRESENTATIONS = 64
logging.getLogger("pymdoccbor").setLevel(logging.ERROR)  # writing its warnings would be most of its time


class Verifying:
    """Everybody's verification of the same presentations."""

    def __init__(self, bench: Bench, form: Format) -> None:
        self._bench = bench
        self._shown = [bench.present(form).presentation for _ in range(PRESENTATIONS)]

    def sd_jwt(self) -> Candidate:
        public = JWK.from_json(self._bench.signer.peer.export_public())
        ask, turn = self._bench.ask, iter(range(10**9))

        def run() -> None:
            shown = self._shown[next(turn) % PRESENTATIONS]
            verifier = SDJWTVerifier(shown, lambda issuer, header: public, ask.client_id, ask.nonce)
            if verifier.get_verified_payload()["name"] != self._bench.name:
                raise AssertionError("the peer let something else through")

        return Here(run)

    def sd_jwt_js(self) -> Candidate:
        bench = self._bench
        cards = [bench.present(Format.SD_JWT, frozenset({"status"})).presentation for _ in range(PRESENTATIONS)]
        given = {
            "cards": cards, "issuerKey": bench.signer.signer.jwk, "nonce": bench.ask.nonce,
            "now": int(bench.now.timestamp()), "audience": bench.ask.client_id, "expect": bench.name,
        }  # fmt: skip
        return Node("sd_jwt", "verify", given)

    def owf(self) -> Candidate:
        bench = self._bench
        return Node("owf", "verify", {**self._mdoc(), "now": bench.now.isoformat(), "handover": bench.handover()})

    def auth0(self) -> Candidate:
        return Node("auth0", "verify", {**self._mdoc(), "transcript": b64u(_tagged(self._bench.transcript()))})

    def _mdoc(self) -> dict[str, Any]:
        return {
            "responses": self._shown, "namespace": self._bench.doctype, "trusted": [b64u(self._bench.anchor)],
            "expect": self._bench.name,
        }  # fmt: skip

    def pymdoccbor(self) -> Candidate:
        raw, turn = [unb64u(shown) for shown in self._shown], iter(range(10**9))

        def run() -> None:
            mdoc = MdocCbor()
            mdoc.loads(raw[next(turn) % PRESENTATIONS])
            if not mdoc.verify():
                raise AssertionError("the peer refuses")

        return Here(run)


def _tagged(transcript: bytes) -> bytes:
    """@auth0/mdl wants #6.24(bstr) around it."""
    return b"\xd8\x18\x59" + len(transcript).to_bytes(2, "big") + transcript


class Issuing:
    """Everybody's issuance of the same twelve claims to the same key."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def sd_jwt(self) -> Candidate:
        bench = self._bench

        def run() -> str:
            claims = bench.claims() | {SDObj(name): value for name, value in bench.twelve.items()}
            issued = SDJWTIssuer(claims, bench.signer.peer, sign_alg="ES256", extra_header_parameters=bench.header)
            return str(issued.sd_jwt_issuance)

        return Here(run)

    def sd_jwt_js(self) -> Candidate:
        bench = self._bench
        given = {
            "claims": bench.claims(), "hidden": bench.twelve, "key": self._private(),
            "header": {**bench.header, "alg": "ES256"},
        }  # fmt: skip
        return Node("sd_jwt", "issue", given)

    def owf(self) -> Candidate:
        return Node("owf", "issue", self._mdoc())

    def auth0(self) -> Candidate:
        return Node("auth0", "issue", self._mdoc())

    def pymdoccbor(self) -> Candidate:
        bench = self._bench
        secret = bench.signer.peer.get_op_key("sign").private_numbers().private_value.to_bytes(32, "big")
        key = {"KTY": "EC2", "CURVE": "P_256", "ALG": "ES256", "D": secret, "KID": b"bench"}
        holder = {"KTY": "EC2", "CURVE": "P_256", "X": bench.holder.key.x, "Y": bench.holder.key.y}
        validity = {"issuance_date": bench.now.date().isoformat(), "expiry_date": bench.end.date().isoformat()}
        values = {
            name: value.isoformat() if isinstance(value, date) else value for name, value in bench.elements.items()
        }
        issuer = MdocCborIssuer(private_key=key, alg="ES256", kid="bench")

        def run() -> Any:
            return issuer.new(
                data={bench.doctype: dict(values)}, doctype=bench.doctype, validity=validity, devicekeyinfo=holder,
                x509_chain=list(bench.x5c),
            )  # fmt: skip

        return Here(run)

    def _private(self) -> dict[str, Any]:
        key: dict[str, Any] = self._bench.signer.peer.export(as_dict=True)
        return {name: key[name] for name in ("kty", "crv", "x", "y", "d")}

    def _mdoc(self) -> dict[str, Any]:
        bench = self._bench
        validity = bench.validity
        moments = {"signed": validity.signed, "validFrom": validity.valid_from, "validUntil": validity.valid_until}
        return {
            "doctype": bench.doctype, "key": self._private(), "deviceKey": bench.holder.signer.jwk,
            "chain": [b64u(der) for der in bench.x5c],
            "elements": {name: value for name, value in bench.elements.items() if not isinstance(value, date)},
            "dates": {name: value.isoformat() for name, value in bench.elements.items() if isinstance(value, date)},
            "validity": {name: moment.isoformat() for name, moment in moments.items()},
        }  # fmt: skip
