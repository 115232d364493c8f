"""Cases for base64url, JSON, JWS in both forms, JWE and keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cast import EPHEMERAL, HOLDER, ISSUER, RESPONSE, THIEF, Case, refused, taken
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mapae.formats import jose, jwe, jws_json


def base64url() -> Iterator[Case]:
    yield taken("nothing", "", "")
    yield taken("one byte", "_w", "ff")
    yield taken("two bytes", "-_8", "fbff")
    yield taken("three bytes", "AAEC", "000102")
    yield refused("padding", "_w==", "base64url", "malformed")
    yield refused("standard alphabet", "+/8", "base64url", "malformed")
    yield refused("spare bits after one byte", "_x", "base64url", "malformed")
    yield refused("spare bits after two bytes", "-_9", "base64url", "malformed")
    yield refused("one character left over", "AAECA", "base64url", "malformed")
    yield refused("white space", "AA EC", "base64url", "malformed")
    yield refused("line end", "AAEC\n", "base64url", "malformed")
    yield refused("padding inside", "AA==AAEC", "base64url", "malformed")
    yield refused("foreign letter", "AAEé", "base64url", "malformed")


def json_objects() -> Iterator[Case]:
    yield taken("plain", '{"a":[1,{"b":"c:d"}]}', {"a": [1, {"b": "c:d"}]})
    yield taken("escaped quote and colon", '{"a\\":b":1}', {'a":b': 1})
    yield refused("member twice", '{"a":1,"a":1}', "json", "malformed")
    yield refused("member twice, escaped", '{"a":1,"\\u0061":2}', "json", "malformed")
    yield refused("member twice, inside", '{"x":[{"a":1,"a":2}]}', "json", "malformed")
    yield refused("not an object", "[1]", "json", "malformed")
    yield refused("not a number", '{"a":NaN}', "json", "malformed")
    yield refused("something after it", '{"a":1}{}', "json", "malformed")
    yield refused("a byte order mark", '\ufeff{"a":1}', "json", "malformed")
    yield refused("a control character", '{"a":"\x01"}', "json", "malformed")
    yield refused("member twice, spaced", '{"a" : 1, "b:" : "a":", "a" : 2}', "json", "malformed")
    yield refused("half a surrogate pair", '{"a":"\\ud800"}', "json", "malformed")
    yield refused("too deep", '{"a":' + "[" * 20 + "]" * 20 + "}", "json", "too_large")


def tokens() -> Iterator[Case]:
    good = jose.sign_jws(ISSUER, {"typ": "vector+jwt"}, {"iss": "x"})
    head, body, signature = good.split(".")
    short = jose.b64u(jose.unb64u(signature)[:63])
    yield taken("good", good, {"iss": "x"})
    other = jose.sign_jws(THIEF, {"typ": "vector+jwt"}, {"iss": "x"})
    yield refused("signed by another key", other, "signature", "bad_signature")
    yield refused("another payload", f"{head}.{jose.b64u(b'{}')}.{signature}", "signature", "bad_signature")
    yield refused("signature cut", f"{head}.{body}.{short}", "signature", "bad_signature")
    yield refused("no signature", f"{head}.{body}.", "signature", "bad_signature")
    yield refused("two parts", f"{head}.{body}", "parse", "malformed")
    yield refused("padded", f"{head}.{body}=.{signature}", "parse", "malformed")
    yield refused("four parts", f"{good}.{signature}", "parse", "malformed")
    yield refused("spare bits in the signature", good[:-1] + SPARE[good[-1]], "parse", "malformed")
    yield refused("another spelling of the header", f"{jose.b64u(jose.unb64u(head) + b' ')}.{body}.{signature}",
                  "signature", "bad_signature")  # fmt: skip
    twice = jose.b64u(b'{"alg":"ES256","typ":"vector+jwt","alg":"ES256"}')
    yield refused("header member twice", signed_as(twice, body), "parse", "malformed")
    yield refused("header that is no object", signed_as(jose.b64u(b"[]"), body), "parse", "malformed")
    for name, header, code in [
        ("alg none", {"alg": "none", "typ": "vector+jwt"}, "unsupported"),
        ("alg HS256", {"alg": "HS256", "typ": "vector+jwt"}, "unsupported"),
        ("alg missing", {"typ": "vector+jwt"}, "unsupported"),
        ("crit", {"alg": "ES256", "typ": "vector+jwt", "crit": ["exp"]}, "unsupported"),
        ("payload not encoded", {"alg": "ES256", "typ": "vector+jwt", "b64": False}, "unsupported"),
        ("typ is not a text", {"alg": "ES256", "typ": ["vector+jwt"]}, "malformed"),
        ("typ of another token", {"alg": "ES256", "typ": "other+jwt"}, "malformed"),
        ("typ missing", {"alg": "ES256"}, "malformed"),
    ]:
        yield refused(name, signed_as(jose.b64u(jose.encode_json(header)), body), "parse", code)


# The next character of the alphabet, where the last of 86 may only be one in sixteen (RFC 4648 3.5).
SPARE = dict(zip("AQgw", "BRhx", strict=True))


def signed_as(head: str, body: str) -> str:
    message = f"{head}.{body}".encode()
    return jose.jws_complete(message, ISSUER.sign(message))


def several() -> Iterator[Case]:
    """JWS in JSON, RFC 7515 7.2. What counts is whose signatures are there."""
    header = {"typ": "vector+jwt"}
    one = jws_json.write({"iss": "x"}, [(ISSUER, header)])
    both = jws_json.write({"iss": "x"}, [(THIEF, header), (ISSUER, header)])
    flat = jws_json.write({"iss": "x"}, [(ISSUER, header)], general=False)
    [first] = one["signatures"]
    yield taken("flattened", flat, [True])
    yield taken("general", one, [True])
    yield taken("two signatures, one of them by another", both, [False, True])
    eddsa = {"protected": jose.b64u(b'{"alg":"EdDSA"}'), "signature": "AAAA"}
    yield taken("one we cannot judge", one | {"signatures": [eddsa, first]}, [True])
    yield taken("an unprotected header", flat | {"header": {"kid": "1"}}, [True])
    for name, raw, code in [
        ("none we can judge", one | {"signatures": [eddsa]}, "unsupported"),
        ("two forms at once", one | {"signature": first["signature"]}, "malformed"),
        ("no payload", {"signatures": [first]}, "malformed"),
        ("no signatures", one | {"signatures": []}, "malformed"),
        ("no protected header", flat | {"protected": ""}, "malformed"),
        ("a parameter in both headers", flat | {"header": {"typ": "vector+jwt"}}, "malformed"),
        ("an extension that is not protected", flat | {"header": {"crit": ["x"]}}, "malformed"),
        ("an empty unprotected header", flat | {"header": {}}, "malformed"),
        ("a dot in the payload", flat | {"payload": flat["payload"] + ".AAAA"}, "malformed"),
        ("too many signatures", one | {"signatures": [first] * 9}, "too_large"),
    ]:
        yield refused(name, raw, "parse", code)


def messages() -> Iterator[Case]:
    """JWE, RFC 7516 and 7518 4.6: to Hand("response encryption") under the kid "1"."""

    def sealed(header: dict[str, Any], text: bytes = b'{"a":1}', *, part: str = "", tag: str = "") -> str:
        whole = {"alg": "ECDH-ES", "enc": "A128GCM", "epk": EPHEMERAL.jwk, "kid": "1"} | header
        head = jose.b64u(jose.encode_json({name: value for name, value in whole.items() if value is not None}))
        apu = jose.unb64u(whole["apu"]) if isinstance(whole.get("apu"), str) else b""
        shared = EPHEMERAL._private.exchange(ec.ECDH(), RESPONSE.public_key)
        enc = whole["enc"] if whole["enc"] in jwe.ENCS else "A128GCM"
        done = AESGCM(jwe._derive(shared, enc, apu, b"")).encrypt(bytes(12), text, head.encode())
        return f"{head}.{part}.{jose.b64u(bytes(12))}.{jose.b64u(done[:-16])}.{tag or jose.b64u(done[-16:])}"

    yield taken("A128GCM", sealed({}), {"a": 1})
    yield taken("A256GCM", sealed({"enc": "A256GCM"}), {"a": 1})
    yield taken("with the parties named", sealed({"apu": "QWxpY2U"}), {"a": 1})
    for name, header, code in [
        ("another algorithm", {"alg": "ECDH-ES+A128KW"}, "unsupported"),
        ("another cipher", {"enc": "A128CBC-HS256"}, "unsupported"),
        ("compressed", {"zip": "DEF"}, "unsupported"),
        ("an extension", {"crit": ["x"]}, "unsupported"),
        ("a key off the curve", {"epk": EPHEMERAL.jwk | {"y": EPHEMERAL.jwk["x"]}}, "malformed"),
        ("a key of another curve", {"epk": EPHEMERAL.jwk | {"crv": "P-384"}}, "unsupported"),
        ("no key", {"epk": None}, "malformed"),
        ("another key's name", {"kid": "2"}, "malformed"),
        ("no key's name", {"kid": None}, "malformed"),
        ("another ephemeral key", {"epk": HOLDER.jwk}, "malformed"),
    ]:
        yield refused(name, sealed(header), "decrypt", code)
    good = sealed({})
    yield refused("something in the place of an encrypted key", sealed({}, part="AAAA"), "decrypt", "malformed")
    yield refused("a short tag", sealed({}, tag=jose.b64u(bytes(12))), "decrypt", "malformed")
    yield refused("another tag", sealed({}, tag=jose.b64u(bytes(16))), "decrypt", "malformed")
    yield refused("four parts", good.rsplit(".", 1)[0], "decrypt", "malformed")
    yield refused("padded", good + "=", "decrypt", "malformed")


def keys() -> Iterator[Case]:
    good = dict(HOLDER.jwk)
    yield taken("plain", good, HOLDER.key.thumbprint)
    yield taken("with members that do not matter", good | {"kid": "1", "use": "sig"}, HOLDER.key.thumbprint)
    yield refused("another curve", good | {"crv": "P-384"}, "key", "unsupported")
    yield refused("another kind", good | {"kty": "OKP"}, "key", "unsupported")
    yield refused("private part", good | {"d": good["x"]}, "key", "malformed")
    yield refused("not on the curve", good | {"y": good["x"]}, "key", "malformed")
    yield refused("coordinate too long", good | {"x": "AA" + good["x"]}, "key", "malformed")
    yield refused("coordinate missing", {n: v for n, v in good.items() if n != "y"}, "key", "malformed")
    yield refused("coordinate that is no text", good | {"x": 1}, "key", "malformed")
    yield refused("spare bits in a coordinate", good | {"x": "A" * 42 + "B"}, "key", "malformed")
    yield refused("for another algorithm", good | {"alg": "RS256"}, "key", "unsupported")
    yield refused("not an object", "key", "key", "malformed")
    yield refused("coordinate padded", good | {"x": good["x"][:-1] + "="}, "key", "malformed")
