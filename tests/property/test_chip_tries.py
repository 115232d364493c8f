"""Whatever somebody does with a stolen card, its power and its reader, in whatever order: he has three tries."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mapae.errors import Code, Refused
from mapae.issuer.ic_card import terminal
from mapae.issuer.ic_card.memory import RamMemory
from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.reader import SimulatedReader
from taps import CAN, PIN, PUK, Tap, image

WRONG = "0000"
PARTS = st.sampled_from([0.0, 1.0])
STEPS = st.sampled_from(["count", "restore", "change", "unblock", None])


class Torn(SimulatedReader):
    """The card leaves the field after so many commands; of the last one it may still have heard."""

    left, heard = 1_000, False

    def transmit(self, apdu: bytes) -> bytes:
        self.left -= 1
        if self.left > 0:
            return super().transmit(apdu)
        if self.heard:
            super().transmit(apdu)
        self.reset()
        self.left = 1_000
        raise Refused(Code.UNAVAILABLE, step="reader")


class Thief(RuleBasedStateMachine):
    """`judged`: wrong PINs the card has told him to be wrong since the holder or the PUK last gave it its tries."""

    def __init__(self) -> None:
        super().__init__()
        self.tap = Tap(RamMemory(image()))
        self.reader = self.tap.reader = Torn(self.tap.card)
        self.judged = self.judged_without_can = self.puk_uses = 0
        self.pins = {PIN}

    def _told_wrong(self, work, *arguments) -> bool:
        """Whether the card has looked at the secret and said so; its own counting is not asked."""
        try:
            work(*arguments)
        except Refused as refused:
            return "wrong" in refused.detail
        return False

    @rule(with_can=st.booleans(), times=st.integers(1, 4))
    def guesses(self, with_can: bool, times: int = 1) -> None:
        for _ in range(times):
            if self._told_wrong(self.tap.resumed if with_can else self.tap.open, WRONG):
                self.judged += 1
                self.judged_without_can += not with_can

    @rule(after=st.integers(1, 12), heard=st.booleans(), with_can=st.booleans(), secret=st.sampled_from([WRONG, PIN]))
    def tears_it_away(self, after: int, heard: bool, with_can: bool, secret: str) -> None:
        self.reader.left, self.reader.heard = after, heard
        if secret in self.pins:
            self._right(with_can, secret)
        else:
            self.guesses(with_can)
        self.reader.left = 1_000
        self.reader.reset()

    @rule(step=STEPS, part=PARTS)
    def prepares_a_power_cut(self, step: str | None, part: float) -> None:
        self.tap.memory.power.cut_after(step, part=part)

    @rule(with_can=st.booleans())
    def gives_it_to_the_holder(self, with_can: bool) -> None:
        self._right(with_can, self.tap.memory.state.pin)

    def _right(self, with_can: bool, pin: str) -> None:
        """What the holder does gives tries back when the card has written so, whether it could say so or not."""
        self._told_wrong(self.tap.resumed if with_can else self.tap.open, pin)
        self._looks_again()

    def _looks_again(self) -> None:
        if self.tap.memory.state.tries == 3:
            self.judged = self.judged_without_can = 0

    @rule(new=st.sampled_from([PIN, "7788"]))
    def holder_changes_the_pin(self, new: str) -> None:
        def change() -> None:
            self.tap.ask(terminal.change_pin(self.tap.open(self.tap.memory.state.pin), new))

        self._told_wrong(change)
        self.pins = {self.tap.memory.state.pin}
        assert self.tap.memory.state.pin in (PIN, "7788"), "the old one or the new one"
        self._looks_again()

    @rule(puk=st.sampled_from([PUK, "0000000000"]))
    def unblocks(self, puk: str) -> None:
        uses = self.tap.memory.state.puk_uses
        told = self._told_wrong(self.tap.unblock, puk)
        used = uses - self.tap.memory.state.puk_uses
        self.puk_uses += max(used, told)
        if puk == PUK:
            self._looks_again()

    @rule(secret=st.sampled_from([CAN, "000000"]))
    def shows_the_can(self, secret: str) -> None:
        self._told_wrong(self.tap.open, secret, Password.CAN)

    @precondition(lambda self: self.reader.left > 100)
    @rule()
    def resets(self) -> None:
        self.reader.reset()

    @invariant()
    def three_tries(self) -> None:
        state = self.tap.memory.state
        assert self.judged <= 3 - state.tries, f"{self.judged} told wrong, and {state.tries} tries are left"
        assert self.judged_without_can <= 2
        assert self.puk_uses == 10 - state.puk_uses
        assert not state.delivery


TestThief = Thief.TestCase
TestThief.settings = settings(max_examples=max(10, settings().max_examples // 20), stateful_step_count=15)
