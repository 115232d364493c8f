"""Cases for status lists, as JWT and as CWT."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from cast import AT, ISSUER, THIEF, Case, refused, taken

from hands import NOW
from mapae.formats import cbor, cose, jose, status
from mapae.formats.status import StatusList


def lists() -> Iterator[Case]:
    uri = "https://issuer.example/status/1"
    list_ = StatusList.of(2, 64, [(1, 1), (2, 2), (3, 3), (63, 2)])
    good = status.publish(list_, ISSUER, [b"\x30\x00"], uri=uri, now=NOW, life=timedelta(hours=1), ttl=5)
    yield taken("good", good, {"1": 1, "2": 2, "3": 3, "4": 0, "63": 2})
    old = status.publish(list_, ISSUER, [], uri=uri, now=NOW - timedelta(hours=2), life=timedelta(hours=1), ttl=5)
    yield refused("past its end", old, "standing", "status_unknown")
    other = status.publish(list_, ISSUER, [], uri=uri + "2", now=NOW, life=timedelta(hours=1), ttl=5)
    yield refused("another list", other, "standing", "status_unknown")
    fake = status.publish(list_, THIEF, [], uri=uri, now=NOW, life=timedelta(hours=1), ttl=5)
    yield refused("another signer", fake, "standing", "bad_signature")
    claims = status.status_claims(list_, uri=uri, now=NOW, life=timedelta(hours=1), ttl=5)
    for name, change in [
        ("three bits", {"bits": 3, "lst": list_.lst()}),
        ("not compressed", {"bits": 2, "lst": "AAAA"}),
        ("cut", {"bits": 2, "lst": list_.lst()[:-4]}),
        ("something after it", {"bits": 2, "lst": jose.b64u(list_.compressed().raw + b"x")}),
        ("padded", {"bits": 2, "lst": list_.lst() + "="}),
        ("no list", {"bits": 2}),
        ("bits that are no number", {"bits": "2", "lst": list_.lst()}),
    ]:
        text = jose.sign_jws(ISSUER, {"typ": "statuslist+jwt"}, claims | {"status_list": change})
        yield refused(name, text, "parse", "malformed")


def lists_as_cwt() -> Iterator[Case]:
    """draft-21 5.2."""
    uri = "https://issuer.example/status/1"
    list_ = StatusList.of(2, 64, [(1, 1), (2, 2), (3, 3), (63, 2)])
    told: dict[str, Any] = {"uri": uri, "now": NOW, "life": timedelta(hours=1), "ttl": 5}
    old = told | {"now": NOW - timedelta(hours=2)}
    good = status.publish_cwt(list_, ISSUER, [b"\x30\x00"], **told)
    yield taken("good", good.hex(), {"1": 1, "2": 2, "3": 3, "4": 0, "63": 2})
    for name, raw, code in [
        (
            "past its end",
            status.publish_cwt(list_, ISSUER, [], **old),
            "status_unknown",
        ),
        ("another list", status.publish_cwt(list_, ISSUER, [], **told | {"uri": uri + "2"}), "status_unknown"),
        ("another signer", status.publish_cwt(list_, THIEF, [], **told), "bad_signature"),
    ]:
        yield refused(name, raw.hex(), "standing", code)

    def made(protected: dict[int, Any] | None = None, **change: Any) -> bytes:
        claims = {2: uri, 6: AT, 65533: {"bits": 2, "lst": list_.compressed().raw}}
        claims |= {int(label[1:]): value for label, value in change.items()}
        head = cbor.dumps({1: -7, 16: status.TYPE_CWT} if protected is None else protected)
        body = cbor.dumps({label: value for label, value in claims.items() if value is not None})
        return b"\xd2" + cbor.dumps([head, {}, body, ISSUER.sign(cose.to_be_signed(body, head))])

    for name, raw, code in [
        ("under a MAC", b"\xd1" + good[1:], "unsupported"),
        ("with the CWT tag", b"\xd8\x3d" + good, "malformed"),
        ("no tag", good[1:], "malformed"),
        ("something after it", good + b"\0", "malformed"),
        ("another type", made({1: -7, 16: "application/cwt"}), "malformed"),
        ("no type", made({1: -7}), "malformed"),
        ("another algorithm", made({1: -8, 16: status.TYPE_CWT}), "unsupported"),
        ("an extension", made({1: -7, 2: [16], 16: status.TYPE_CWT}), "unsupported"),
        ("no subject", made(_2=None), "malformed"),
        ("no time of issue", made(_6=None), "malformed"),
        ("an end that is no time", made(_4="x"), "malformed"),
        ("a time to live of nothing", made(_65534=0), "malformed"),
        ("no list", made(_65533=None), "malformed"),
        ("three bits", made(_65533={"bits": 3, "lst": list_.compressed().raw}), "malformed"),
        ("a list that is text", made(_65533={"bits": 2, "lst": list_.lst()}), "malformed"),
        ("a list that is cut", made(_65533={"bits": 2, "lst": list_.compressed().raw[:-4]}), "malformed"),
    ]:
        yield refused(name, raw.hex(), "parse", code)
