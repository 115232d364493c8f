"""What a chip must prove to the issuer, which sits at the far end of a line somebody else holds.

Promises: what `talk` returns was read by us, under keys that only the chip of the signed DG14 has, and is what the
state signed. Trusts: the country's authorities, as configured. Keeps: nothing. Refuses: with CHIP_REFUSED and the step:
those of passive authentication; `card_access`, a card that offered weaker protocols than it signed; `chip`, a copy of
the files without the key; `read`; `portrait`; `details`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Generator

from mapae.clock import Clock, Dice
from mapae.errors import Code, Refused
from mapae.issuer.ic_card import infos, lds, passive, terminal
from mapae.issuer.ic_card.chip_auth import Terminal
from mapae.issuer.ic_card.passive import Anchors, chip_step
from mapae.issuer.ic_card.profile import DETAILS, MRZ, PORTRAIT, PROFILE_A, SECURITY, CardProfile
from mapae.issuer.tap.values import Read

Trusted = Callable[[], Awaitable[Anchors]]
"""The authorities we trust, with today's revocation lists."""


class ChipProver:
    """Implements `remote.Prover`."""

    def __init__(self, trusted: Trusted, clock: Clock, dice: Dice, profile: CardProfile = PROFILE_A) -> None:
        self._trusted, self._clock, self._dice, self._profile = trusted, clock, dice, profile

    async def begin(self, card_access: bytes, sod: bytes, dg14: bytes) -> ChipProof:
        """1 signed by the state  2 the key it signed  3 no weaker protocol was offered outside. Then our own key."""
        anchors = await self._trusted()
        genuine = passive.check(sod, {SECURITY: dg14}, anchors, self._clock.now(), self._profile)
        with chip_step("key"):
            key = infos.read_dg14(dg14, self._profile)
        # EF.CardAccess came over the helper and was read before anything was protected. What the helper says of it is
        # no proof, but an honest helper whose reader was lied to is warned here.
        with chip_step("card_access"):
            infos.must_match(card_access, dg14)
        ours = Terminal(key, self._dice)
        return ChipProof(self, genuine.card, hashlib.sha256(key.encode()).digest(), ours, anchors)

    def checked(self, found: dict[int, bytes], anchors: Anchors) -> Read:
        """Everything again, over what we read ourselves: 1 all groups are those signed  2 the portrait is a picture
        3 the details are text  4 the number of the card."""
        profile = self._profile
        groups = {number: found[profile.fid(number)] for number in profile.groups}
        genuine = passive.check(found[profile.sod_fid], groups, anchors, self._clock.now(), profile)
        with chip_step("portrait"):
            lds.read_dg2(groups[PORTRAIT])
        with chip_step("details"):
            lds.Details.parse(groups[DETAILS])
        return Read(genuine.card, lds.read_dg1(groups[MRZ]).number)

    @property
    def files(self) -> tuple[int, ...]:
        """The security object first: a card of another state is not read any further than that."""
        return (self._profile.sod_fid, *(self._profile.fid(number) for number in reversed(self._profile.groups)))


class ChipProof:
    """Implements `remote.Proof`."""

    def __init__(self, prover: ChipProver, digest: bytes, key_hash: bytes, ours: Terminal, anchors: Anchors) -> None:
        self.digest, self.key_hash = digest, key_hash
        self._prover, self._ours, self._anchors = prover, ours, anchors

    @property
    def point(self) -> bytes:
        return self._ours.public

    def talk(self) -> Generator[bytes, bytes, Read]:
        channel = self._ours.channel()
        try:
            # Doc 9303-11 6.2: authenticated by the first answer under the new keys, and by nothing before it.
            yield from terminal.select_application(channel)
        except Refused as refused:
            why = f"whoever answers has not the key of the card: {refused.detail}"
            raise Refused(Code.CHIP_REFUSED, why, step="chip") from None
        found: dict[int, bytes] = {}
        for file in self._prover.files:
            with chip_step("read"):
                found[file] = yield from terminal.read_file(channel, file)
        return self._prover.checked(found, self._anchors)
