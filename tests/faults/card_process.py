"""A reader with a card in a process of its own: tries wrong PINs until it is killed or the card is blocked.

Says `ready`, then one line a try: `wrong` when the card has said so, `blocked` when it may not try any more."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mapae.clock import SystemDice
from mapae.errors import Refused
from mapae.issuer.ic_card import terminal
from mapae.issuer.ic_card.card import Card
from mapae.issuer.ic_card.memory import FileMemory
from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.reader import SimulatedReader, drive


def main(path: Path, can: str, wrong: str) -> None:
    memory, dice = FileMemory(path), SystemDice()
    reader = SimulatedReader(Card(memory, dice), memory.close)
    infos = drive(terminal.read_card_access(), reader)
    os.write(1, b"ready\n")
    while True:
        try:
            reader.reset()
            channel = drive(terminal.resume(can, infos, dice), reader)
            drive(terminal.pace(Password.PIN, wrong, infos, dice, channel), reader)
        except Refused as refused:
            os.write(1, b"wrong\n" if "wrong" in refused.detail else b"blocked\n")
            if "wrong" not in refused.detail:
                return


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
