"""The wire formats of mapae: JOSE, COSE, SD-JWT VC, ISO mdoc, Token Status List and certificate profiles.

Promises: bytes in, checked values out, and the bytes of what was parsed are kept so that encoding gives them back.
Trusts: nobody; every parser bounds size, depth and count before it works. Keeps: nothing but bounded caches of what is
the same for everyone. Refuses: a second spelling of anything, by `mapae.errors.Refused` and no other exception. No
clock, no chance, no network, no disk: time and entropy come in as arguments.

`jose`, `jws_json` and `jwe` for JSON tokens, `cbor` and `cose` beneath `mdoc` and `proximity`, `sd_jwt` (made in
`hiding`) and `type_metadata`, `status`, `x509`; `dcql` asks for them.
"""
