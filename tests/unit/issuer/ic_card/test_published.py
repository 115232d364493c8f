"""Every derived value of the worked examples of Doc 9303-11 (appendices D and G.1) and of BSI TR-03110, again."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from mapae.issuer.ic_card import chip_auth, pace, tlv
from mapae.issuer.ic_card.apdu import Command, Response
from mapae.issuer.ic_card.ec import BRAINPOOLP256R1, CURVES
from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.secure import Channel, ChipChannel, Keys, TerminalChannel, authenticate, derive, pad
from unit.issuer.ic_card.published import H, Told, example, public


class Claims:
    """Counts what is claimed, so that none can be lost on the way."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, found: bytes, published: str) -> None:
        self.made += 1
        assert found.hex() == published


def check_digit(field: str) -> str:
    worth = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return str(sum((0 if c == "<" else worth.index(c)) * (7, 3, 1)[i % 3] for i, c in enumerate(field)) % 10)


def replay(claim: Claims, values: dict[str, str], key: bytes) -> None:
    """Both sides of PACE, with the example's secrets, say what the example says."""
    curve = CURVES[int(values["parameter_id"])]
    if "k_pi" in values:
        claim(key, values["k_pi"])
    for name in ("map", "eph"):
        for side in ("pcd", "picc"):
            base = curve.read(H(values["map_generator"])) if name == "eph" else curve.g
            secret = int(values[f"{name}_sk_{side}"], 16)
            claim(base.times(secret).encode(), values[f"{name}_pk_{side}"])
    shared = curve.read(H(values["map_pk_picc"])).times(int(values["map_sk_pcd"], 16))
    claim(shared.encode(), values["map_shared_h"])
    claim(pace._mapped(curve, H(values["nonce_s"]), shared).encode(), values["map_generator"])
    agreed = curve.read(H(values["eph_pk_picc"])).times(int(values["eph_sk_pcd"], 16)).shared()
    claim(agreed, values["shared_k"])
    claim(curve.read(H(values["eph_pk_pcd"])).times(int(values["eph_sk_picc"], 16)).shared(), values["shared_k"])
    claim(Keys.of(agreed).enc, values["k_enc"])
    claim(Keys.of(agreed).mac, values["k_mac"])

    chip = pace.chip(curve, key, Told(values["map_sk_picc"], values["eph_sk_picc"], nonce=values["nonce_s"]))
    terminal = pace.terminal(curve, key, Told(values["map_sk_pcd"], values["eph_sk_pcd"]))
    next(terminal)
    claim(next(chip), values["nonce_enc_z"])
    assert terminal.send(H(values["nonce_enc_z"])).hex() == values["map_pk_pcd"]
    assert chip.send(H(values["map_pk_pcd"])).hex() == values["map_pk_picc"]
    assert terminal.send(H(values["map_pk_picc"])).hex() == values["eph_pk_pcd"]
    assert chip.send(H(values["eph_pk_pcd"])).hex() == values["eph_pk_picc"]
    claim(terminal.send(H(values["eph_pk_picc"])), values["token_pcd"])
    try:
        chip.send(H(values["token_pcd"]))
    except StopIteration as done:
        claim(done.value[0], values["token_picc"])
    try:
        terminal.send(H(values["token_picc"]))
    except StopIteration as done:
        assert isinstance(done.value, TerminalChannel)


def test_pace_with_the_mrz_as_appendix_g_1_works_it_out():
    """Doc 9303-11 G.1: all keys, tokens and the five command and answer pairs."""
    claim, file = Claims(), example("icao-9303-11-g1-pace-ecdh-gm")
    mrz, values = file["mrz"], file["pace"]
    fields = (mrz["document_number"], mrz["date_of_birth"], mrz["date_of_expiry"])
    information = "".join(field + check_digit(field) for field in fields)
    claim(hashlib.sha1(information.encode()).digest(), mrz["k"])
    replay(claim, values, pace.password_key(Password.MRZ, information))
    names = ((None, "nonce_enc_z"), ("map_pk_pcd", "map_pk_picc"), ("eph_pk_pcd", "eph_pk_picc"))
    names += (("token_pcd", "token_picc"),)
    mse, _ = file["apdu"][0]
    assert Command.parse(H(mse)).data == tlv.encode(0x80, pace.OID) + tlv.encode(0x83, b"\1")
    for (said, heard), (ours, theirs), (there, back) in zip(file["apdu"][1:], names, pace.OBJECTS, strict=True):
        inside = tlv.encode(there, H(values[ours])) if ours else b""
        last = ours == "token_pcd"
        claim(Command(0 if last else 0x10, 0x86, 0, 0, tlv.encode(0x7C, inside), 256).encode(), said)
        claim(Command.parse(H(said)).encode(), said)
        claim(Response(tlv.encode(0x7C, tlv.encode(back, H(values[theirs])))).encode(), heard)
    assert claim.made == 27


def test_pace_with_a_pin_secure_messaging_and_chip_authentication_as_bsi_works_them_out():
    """BSI's worked example for EAC 1.01. Its Chip Authentication is version 2: the same agreement, other keys."""
    claim, file = Claims(), example("bsi-eac-worked-example-ecdh")
    replay(claim, file["pace"], pace.password_key(Password.PIN, file["password"]["value"]))
    keys = Keys(H(file["pace"]["k_enc"]), H(file["pace"]["k_mac"]))
    sealed, authenticated = file["sm"]["encrypt"], file["sm"]["mac"]
    channel = Channel(keys)
    claim(channel._encrypt(sealed["ssc"].to_bytes(16, "big"), H(sealed["plain"])), sealed["cipher"])
    claim(authenticate(keys.mac, pad(authenticated["ssc"].to_bytes(16, "big") + H(authenticated["data"]))),
          authenticated["mac"])  # fmt: skip

    values, curve = file["ca"], BRAINPOOLP256R1
    claim(public(curve, values["picc_sk"]), values["picc_pk"])
    terminal = chip_auth.Terminal(curve.read(H(values["picc_pk"])), Told(values["pcd_eph_sk"]))
    claim(terminal.public, values["pcd_eph_pk"])
    agreed = terminal._pair.agree(terminal._theirs)
    claim(agreed, values["shared_k"])
    claim(derive(agreed + H(values["nonce"]), 1), values["k_enc"])
    claim(derive(agreed + H(values["nonce"]), 2), values["k_mac"])
    body = tlv.encode(0x06, H(values["oid"])) + tlv.encode(0x86, terminal.public)
    claim(authenticate(H(values["k_mac"]), tlv.encode(0x7F49, body)), values["picc_token"])
    assert claim.made == 21


def test_the_objects_of_secure_messaging_lie_as_appendix_d_lays_them():
    """Doc 9303-11 D.2 to D.4 is 3DES, which we do not speak: with its cipher put in, our channel says its bytes."""
    claim, file = Claims(), example("icao-9303-11-d-bac-3des-sm")
    claim(hashlib.sha1(file["mrz_information"].encode()).digest()[:16], file["k_seed"])
    claim(parity(derive(H(file["k_seed"]), 1)), file["k_enc"])
    claim(parity(derive(H(file["k_seed"]), 2)), file["k_mac"])
    session = file["session"]
    keys = Keys(parity(derive(H(session["seed"]), 1)), parity(derive(H(session["seed"]), 2)))
    claim(keys.enc, session["ks_enc"])
    claim(keys.mac, session["ks_mac"])
    terminal, chip = Terminal3Des(keys), Chip3Des(keys)
    terminal._ssc = chip._ssc = int(session["ssc"], 16)
    for exchange in file["exchanges"]:
        command = Command.parse(H(exchange["plain"]))
        claim(terminal.wrap(command).encode(), exchange["protected"])
        assert chip.open(Command.parse(H(exchange["protected"]))) == command
        answer = terminal.unwrap(Response.parse(H(exchange["response"])))
        claim(answer.data, exchange["data"])
        claim(chip.seal(Response(H(exchange["data"]))).encode(), exchange["response"])
    assert claim.made == 14


def parity(key: bytes) -> bytes:
    return bytes(byte & 0xFE | (byte >> 1).bit_count() % 2 ^ 1 for byte in key)


def des(key: bytes, data: bytes, way: str = "encryptor") -> bytes:
    work = getattr(Cipher(TripleDES(key), modes.CBC(bytes(8))), way)()
    found: bytes = work.update(data)
    return found


class In3Des(Channel):
    """Our channel with the block cipher of appendix D in the place of AES."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(keys)
        self._left, self._right, self._three = keys.mac[:8] * 3, keys.mac[8:] * 3, keys.enc + keys.enc[:8]

    def _next(self) -> bytes:
        return super()._next()[8:]

    def _pad(self, data: bytes) -> bytes:
        return data + b"\x80" + bytes(-(len(data) + 1) % 8)

    def _encrypt(self, ssc: bytes, data: bytes) -> bytes:
        return des(self._three, self._pad(data))

    def _decrypt(self, ssc: bytes, data: bytes) -> bytes:
        return des(self._three, data, "decryptor").rstrip(b"\0")[:-1]

    def _authenticate(self, data: bytes) -> bytes:
        """ISO/IEC 9797-1, MAC algorithm 3."""
        return des(self._left, des(self._right, des(self._left, data)[-8:], "decryptor"))


class Terminal3Des(In3Des, TerminalChannel):
    pass


class Chip3Des(In3Des, ChipChannel):
    pass
