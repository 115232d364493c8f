"""Cases for whoever talks to a chip on secp256r1 in another language: worked values, and files that are genuine or not.

ICAO's and BSI's worked examples are on brainpoolP256r1 and not ours to carry. What is here was computed by the code
that recomputes those, and that agrees with OpenPACE on both curves.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from cast import AT, Case, refused, taken

import chips
from hands import NOW
from mapae.clock import SeededDice
from mapae.issuer.ic_card import chip_auth, infos, pace
from mapae.issuer.ic_card.apdu import Command, Response
from mapae.issuer.ic_card.ec import SECP256R1
from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.secure import ChipChannel, Keys, TerminalChannel
from mapae.issuer.ic_card.sod import card_id

SECRETS = {Password.PIN: "1234", Password.CAN: "246810", Password.PUK: "1234567890"}


class Told(SeededDice):
    """Dice that fall as they are told: a nonce, then secret keys."""

    def __init__(self, nonce: str, *secrets: str) -> None:
        super().__init__(nonce)
        self._nonce, self._secrets = nonce, list(secrets)

    def bytes(self, n: int) -> bytes:
        return bytes.fromhex(self._nonce)

    def below(self, limit: int) -> int:
        return int(self._secrets.pop(0), 16) - 1


def everything() -> Iterator[Case]:
    yield from worked()
    yield from conversations()
    yield from files()


def worked() -> Iterator[Case]:
    for kind, secret in SECRETS.items():
        dice = SeededDice(f"chip vectors {kind.name}")
        given: dict[str, Any] = {"what": "pace", "password": kind.name, "secret": secret, "nonce": dice.bytes(16).hex()}
        for name in ("map_terminal", "map_chip", "key_terminal", "key_chip"):
            given[name] = f"{1 + dice.below(SECP256R1.n - 1):064x}"
        yield taken(f"PACE with the {kind.name}", given, run_pace(given))
    dice = SeededDice("chip vectors CA")
    chip, terminal = SECP256R1.pair(dice), SECP256R1.pair(dice)
    given = {"what": "chip_authentication", "chip": f"{chip.secret:064x}", "terminal": f"{terminal.secret:064x}"}
    yield taken("Chip Authentication", given, run_chip_authentication(given))


def run_pace(given: dict[str, Any]) -> dict[str, Any]:
    """Both sides say what `given` makes them say."""
    key = pace.password_key(Password[given["password"]], given["secret"])
    chip = pace.chip(SECP256R1, key, Told(given["nonce"], given["map_chip"], given["key_chip"]))
    terminal = pace.terminal(SECP256R1, key, Told("", given["map_terminal"], given["key_terminal"]))
    next(terminal)
    said = [next(chip)]
    for side in (terminal, chip, terminal, chip, terminal):
        said.append(side.send(said[-1]))
    try:
        chip.send(said[-1])
    except StopIteration as done:
        said.append(done.value[0])
    agreed = SECP256R1.read(said[4]).times(int(given["key_terminal"], 16)).shared()
    keys = Keys.of(agreed)
    return {"password_key": key.hex(), "said": [one.hex() for one in said], "agreed": agreed.hex(),
            "enc": keys.enc.hex(), "mac": keys.mac.hex()}  # fmt: skip


def run_chip_authentication(given: dict[str, Any]) -> dict[str, Any]:
    chip = SECP256R1.g.times(int(given["chip"], 16))
    terminal = chip_auth.Terminal(chip, Told("", given["terminal"]))
    agreed = chip.times(int(given["terminal"], 16)).shared()
    keys = Keys.of(agreed)
    return {"dg14": infos.dg14(chip).hex(), "public": terminal.public.hex(), "agreed": agreed.hex(),
            "enc": keys.enc.hex(), "mac": keys.mac.hex()}  # fmt: skip


EXCHANGES = (
    (Command(0, 0xA4, 4, 0x0C, bytes.fromhex("A0000002471001")), Response()),
    (Command(0, 0xB0, 0x81, 0, b"", 223), Response(bytes(range(223)))),
    (Command(0, 0xB0, 0x9D, 0, b"", 256), Response(b"", 0x6982)),
    (Command(0, 0x2C, 2, 3, b"7788"), Response()),
    (Command(0, 0x2C, 3, 3), Response()),
    (Command(0, 0xB1, 0, 0, b"\x54\x01\x00", 256), Response(b"\x53\x01\xaa")),
)


def conversations() -> Iterator[Case]:
    keys = Keys(bytes(range(16)), bytes(range(16, 32)))
    terminal, chip = TerminalChannel(keys), ChipChannel(keys)
    said = []
    for command, response in EXCHANGES:
        protected = terminal.wrap(command)
        chip.open(protected)
        answer = chip.seal(response)
        terminal.unwrap(answer)
        said.append([command.encode().hex(), protected.encode().hex(), response.encode().hex(), answer.encode().hex()])
    given = {"what": "messages", "enc": keys.enc.hex(), "mac": keys.mac.hex()}
    yield taken("secure messaging", given, said)


STATE, FILES = chips.State(), chips.groups(chips.chip_key())


def files() -> Iterator[Case]:
    """`at`: when they are looked at. What is trusted stands beside the cases."""
    sod = STATE.sod(FILES)

    def shown(sod: bytes = sod, at: int = AT, **groups: bytes) -> dict[str, Any]:
        found = {str(number): groups.get(f"dg{number}", content).hex() for number, content in FILES.items()}
        return {"what": "files", "sod": sod.hex(), "groups": found, "at": at}

    def bent(raw: bytes, at: int) -> bytes:
        return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]

    yield taken("genuine", shown(), {"card": card_id(sod).hex(), "key": chips.chip_key().public.encode().hex()})
    yield refused("cut", shown(sod[:-1]), "sod", "chip_refused")
    yield refused("a byte too many", shown(sod + b"\0"), "sod", "chip_refused")
    yield refused("another version", shown(bent(sod, sod.index(b"\x02\x01\x03") + 2)), "sod", "chip_refused")
    yield refused("another state", shown(chips.State("elsewhere").sod(FILES)), "signer", "chip_refused")
    yield refused("a bit of the signature", shown(bent(sod, len(sod) - 1)), "signature", "chip_refused")
    late = STATE.sod(FILES, chips.START + timedelta(days=91))
    after = int((chips.START + timedelta(days=92)).timestamp())
    yield refused("signed when the key was old", shown(late, after), "dates", "chip_refused")
    yield refused(
        "no revocation list of the day",
        shown(at=int((NOW + timedelta(days=91)).timestamp())),
        "revocation",
        "chip_refused",
    )
    for number in FILES:
        forged = bent(FILES[number], len(FILES[number]) - 1)
        yield refused(f"data group {number} forged", shown(**{f"dg{number}": forged}), "hashes", "chip_refused")


def trusted() -> dict[str, Any]:
    return {"now": AT, "authorities": [STATE.csca.hex()], "lists": [STATE.list(5, at=NOW).hex()],
            "card_access": infos.card_access().hex()}  # fmt: skip
