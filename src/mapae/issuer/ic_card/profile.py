"""Profile A of the physical card: which applications, files, algorithms and limits it has (ICAO Doc 9303-10, -11).

Promises: frozen values, one object that card, terminal and issuer all read. Trusts: whoever writes a profile. Keeps:
nothing. Refuses: nothing. A country whose chip has other numbers writes another profile; one whose chip takes other
steps needs other code: this is an ICAO and BSI card.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from mapae.issuer.ic_card import chip_auth, pace
from mapae.issuer.ic_card.ec import SECP256R1, Curve

# Doc 9303-10 4.7: the numbers of data groups. COM and SOD have none.
MRZ, PORTRAIT, DETAILS, SECURITY = 1, 2, 11, 14


@dataclass(frozen=True, slots=True)
class CardProfile:
    aid: bytes = bytes.fromhex("A0000002471001")
    """LDS1 eMRTD application (Doc 9303-10 4.1)."""
    card_access_fid: int = 0x011C
    card_access_sfi: int = 0x1C
    """EF.CardAccess, in the master file (Doc 9303-11 9.2.11)."""
    com_fid: int = 0x011E
    sod_fid: int = 0x011D
    groups: tuple[int, ...] = (MRZ, PORTRAIT, DETAILS, SECURITY)
    """The data groups a card has; all of them are in the SOD."""
    pace_oid: bytes = pace.OID
    chip_auth_oid: bytes = chip_auth.OID
    curve: Curve = field(default=SECP256R1)
    key_ref: int = 1
    """Of the chip's key in DG14, and of the key MSE:Set AT chooses (Doc 9303-11 9.2.6)."""
    pin_tries: int = 3
    puk_tries: int = 10
    can_digits: int = 6
    puk_digits: int = 10
    chunk: int = 223
    """Bytes a protected answer may carry so that it still fits the short form: with padding, objects and MAC 242."""
    largest: tuple[tuple[int, int], ...] = ((MRZ, 95), (PORTRAIT, 24_576), (DETAILS, 1_024), (SECURITY, 1_024))
    """The longest file of each data group that is read."""
    largest_sod: int = 4_096

    def fid(self, group: int) -> int:
        """Doc 9303-10 4.6: 0101 to 0110."""
        return 0x0100 | group

    def limit(self, fid: int) -> int:
        """How long a file may say it is."""
        return next((size for group, size in self.largest if self.fid(group) == fid), self.largest_sod)


PROFILE_A: Final = CardProfile()
