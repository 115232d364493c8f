"""The simulated fingerprint reader of an office: a result, and never a print.

Promises: it says "matched" unless told otherwise; no picture or template of a finger enters the platform. Trusts:
whoever holds its key. Keeps: nothing about anybody. Refuses: an office or a person without a name.
"""

from __future__ import annotations

from typing import Final, Literal

from mapae.errors import Code, Refused
from mapae.simulators.faults import Service

Result = Literal["matched", "not_matched", "unreadable"]
_SAYS: Final[dict[str, Result]] = {"not_matched": "not_matched", "unreadable": "unreadable"}


class SimulatedReader:
    def __init__(self, service: Service) -> None:
        self.service = service

    async def compare(self, person: str, office: str) -> Result:
        """Whether the finger on the reader of `office` is the one the register has of `person`."""
        if not 1 <= len(person) <= 100 or not 1 <= len(office) <= 100:
            raise Refused(Code.MALFORMED, "a comparison needs a person and an office")

        async def work(mode: str) -> Result:
            return _SAYS.get(mode, "matched")

        return await self.service.serve(work)
