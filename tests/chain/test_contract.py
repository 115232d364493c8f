"""The contract and the Python rules are one set of rules, written twice. Here they are held against each other."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

import mapae.trust.log.rules
import mapae.trust.log.state
from acting import ACCOUNTS, GOVERNORS, START, Acting, Step, digest
from mapae.errors import Code, Refused
from mapae.trust.engine import contract
from mapae.trust.engine.contract import Genesis
from mapae.trust.log.acts import PutGovernor
from mapae.trust.log.entry import ZERO, Log
from mapae.trust.log.rules import State
from revm import Contract
from soak import SOAK

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "src/mapae/trust/engine"
GENESIS = Genesis(tuple(GOVERNORS), 2, 0, digest("policy"), digest("genesis"))
STEPS = 50_000 if SOAK else 10_000


class Differs(AssertionError):
    pass


def _python(state: State, step: Step) -> str:
    try:
        state.apply(step.act, step.sender, step.now)
    except Refused as refused:
        assert refused.code is Code.LEDGER_RULE, refused
        return refused.detail
    return ""


def _chain(there: Contract, step: Step) -> str:
    try:
        there.act(*step)
    except Refused as refused:
        return refused.detail
    return ""


def compare(kind: type[State], seed: int, steps: int) -> tuple[State, Counter[str]]:
    """The same steps through both; raises Differs at the first that is not judged alike or leaves another head."""
    state, _ = kind.genesis(GENESIS.governors, 2, 0, GENESIS.document, GENESIS.statement, START)
    there, acting, said = Contract(GENESIS, START), Acting(state, seed), Counter[str]()
    for at in range(steps):
        step = acting.step()
        mine, theirs = _python(state, step), _chain(there, step)
        if mine != theirs:
            raise Differs(f"step {at} of seed {seed}: {step}: rules.py says {mine!r}, the contract {theirs!r}")
        for log in Log:
            if state.head(log) != there.head(log):
                raise Differs(f"step {at} of seed {seed}: {step}: other heads of {log.name}")
        said[f"{step.act.NAME}: {mine or 'taken'}"] += 1
    return state, said


def test_contract_and_rules_judge_every_change_alike() -> None:
    """Same acceptance, same reason of each refusal, and equal heads of both logs after each of 50,000 (MAPAE_SOAK)."""
    state, said = compare(State, 1, STEPS)
    assert state.size(Log.REGISTRY) > STEPS / 20 and state.size(Log.ANCHORS) > STEPS / 60
    for rule in RULES:  # each was broken by somebody, so each was compared
        assert any(line.endswith(f": {rule}") for line in said), rule


RULES = (
    "statement", "governor", "voted", "not the party", "party not live", "role", "governor terms", "policy terms",
    "terms", "delay", "revoked is final", "unknown party", "reason", "key exists", "purpose", "unknown key", "since",
    "schema exists", "unknown schema", "withdrawn", "reader exists", "unknown reader", "seq", "next_update",
)  # fmt: skip


def _mutant(module: ModuleType, old: str, new: str) -> type[State]:
    """The State of rules with one error planted, in rules.py or in state.py."""
    state = Path(mapae.trust.log.state.__file__).read_text(encoding="utf-8")
    rules = Path(mapae.trust.log.rules.__file__).read_text(encoding="utf-8")
    planted = state if module is mapae.trust.log.state else rules
    assert planted.count(old) >= 1, f"{module.__name__} no longer says {old!r}"
    changed = planted.replace(old, new)
    made = ModuleType("planted_state")
    sys.modules["planted_state"] = made
    try:
        exec(changed if planted is state else state, made.__dict__)  # our own text
        other = ModuleType("planted_rules")
        sys.modules["planted_rules"] = other
        text = (changed if planted is rules else rules).replace("mapae.trust.log.state", "planted_state")
        exec(text, other.__dict__)
    finally:
        del sys.modules["planted_state"]
        sys.modules.pop("planted_rules", None)
    return other.State  # type: ignore[no-any-return]


rules, tables = mapae.trust.log.rules, mapae.trust.log.state
PLANTED: dict[str, tuple[ModuleType, str, str]] = {
    "a party lives one second longer": (tables, "at < self.valid_until", "at <= self.valid_until"),
    "a party begins one second later": (tables, "self.valid_from <= at", "self.valid_from < at"),
    "votes survive a change of governors": (tables, "self.generation += 1\n            self.votes = {}", "pass"),
    "one vote too few is enough": (rules, ", ())) + 1 < self.threshold", ", ())) + 2 < self.threshold"),
    "one vote more is asked for": (rules, ", ())) + 1 < self.threshold", ", ())) < self.threshold"),
    "a governor may vote twice": (rules, "if sender in state.votes.get(made.act, ()):", "if False:"),
    "governors may leave below the threshold": (rules, "standing - 1 >= state", "standing >= state"),
    "the threshold may not be all of them": (rules, "threshold <= state.standing", "threshold < state.standing"),
    "the delay may be a second longer": (rules, "said.delay > MOST_DELAY", "said.delay > MOST_DELAY + 1"),
    "a party waits a second too long": (
        rules, "elif said.valid_from < entry.time + state.delay", "elif said.valid_from <= entry.time + state.delay"
    ),
    "new roles need not wait": (rules, " and known.roles == said.roles", ""),
    "a new controller need not wait": (rules, "return known.controller == said.controller and", "return"),
    "same powers may begin in the past": (rules, "said.valid_from < entry.time:", "said.valid_from + 1 < entry.time:"),
    "a term may be empty": (rules, "said.valid_until <= said.valid_from", "said.valid_until < said.valid_from"),
    "what is superseded may be back-dated": (rules, "since < now and reason != Reason.COMPROMISED", "False"),
    "a revocation may lie ahead": (rules, "if since > now or", "if since > now + 1 or"),
    "anybody's key may be revoked": (rules, "key is None or key.party != entry.subject", "key is None"),
    "any registrar may revoke a reader": (rules, "or entered_by.registrar != act.registrar", ""),
    "a reader may be revoked twice": (rules, "if said.reader in state.readers_revoked:", "if False:"),
    "auditors may not anchor": (rules, "(Role.STATUS | Role.AUDIT)", "Role.STATUS"),
    "an anchor may be old as soon as it is there": (rules, "said.next_update <= entry", "said.next_update < entry"),
    "an anchor may leave one out": (rules, "if said.seq != (", "if said.seq < ("),
    "a purpose more": (rules, "MOST_PURPOSES:", "MOST_PURPOSES + 1:"),
    "a reason more": (rules, "<= reason <= MOST_REASONS", "<= reason <= MOST_REASONS + 1"),
    "a role more": (rules, "<= said.roles <= MOST_ROLES", "<= said.roles <= MOST_ROLES + 1"),
}  # fmt: skip


@pytest.mark.parametrize("error", PLANTED)
def test_the_comparison_finds_a_planted_error(error: str) -> None:
    """Else equal heads would prove little: each of these differs from the contract in one rule, mostly by one."""
    with pytest.raises(Differs):
        compare(_mutant(*PLANTED[error]), 1, 50_000)


def test_a_country_begins_alike() -> None:
    state, _ = State.genesis(GENESIS.governors, 2, 0, GENESIS.document, GENESIS.statement, START)
    there = Contract(GENESIS, START)
    assert [there.head(log) for log in Log] == [state.head(log) for log in Log]


def many(count: int) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((bytes([at]) * 20, digest(at)) for at in range(1, count + 1))


BAD = {
    "no governors": Genesis((), 1, 0, digest(1), digest(2)),
    "a governor twice": Genesis((GOVERNORS[0], GOVERNORS[0]), 1, 0, digest(1), digest(2)),
    "nobody": Genesis(((bytes(20), digest(0)),), 1, 0, digest(1), digest(2)),
    "a governor without a voice": Genesis(((ACCOUNTS[0], ZERO),), 1, 0, digest(1), digest(2)),
    "more votes than governors": Genesis(tuple(GOVERNORS), 5, 0, digest(1), digest(2)),
    "no votes": Genesis(tuple(GOVERNORS), 0, 0, digest(1), digest(2)),
    "too long a delay": Genesis(tuple(GOVERNORS), 2, 7_776_001, digest(1), digest(2)),
    "no policy": Genesis(tuple(GOVERNORS), 2, 0, ZERO, digest(2)),
    "no statement": Genesis(tuple(GOVERNORS), 2, 0, digest(1), ZERO),
    "seventeen governors": Genesis(many(17), 2, 0, digest(1), digest(2)),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_country_that_cannot_begin_does_so_nowhere(case: str) -> None:
    bad = BAD[case]
    with pytest.raises(Refused):
        State.genesis(bad.governors, bad.threshold, bad.delay, bad.document, bad.statement, START)
    with pytest.raises(Refused):
        Contract(bad, START)


def test_sixteen_governors_fit_and_a_seventeenth_is_refused() -> None:
    genesis = Genesis(many(16), 1, 0, digest(1), digest(2))
    state, _ = State.genesis(many(16), 1, 0, genesis.document, genesis.statement, START)
    step = Step(PutGovernor(bytes([17]) * 20, digest(17), 1, digest(3)), many(1)[0][0], START)
    assert _python(state, step) == _chain(Contract(genesis, START), step) == "governor terms"


# --- the artefact ---------------------------------------------------------------------------------------------------


def test_the_artefact_is_of_this_source_and_fits_on_any_chain() -> None:
    made = contract.artefact()
    assert made.source_sha256 == hashlib.sha256((ENGINE / "TrustLog.vy").read_bytes()).hexdigest()
    assert made.runtime_bytes <= 24_576  # EIP-170
    assert len(contract.deployment(GENESIS)) <= 49_152  # EIP-3860


def test_the_artefact_is_what_the_source_compiles_to() -> None:
    if not (ROOT / ".venv/vyper/bin/python").exists():
        pytest.skip("the compiler is not here; type: make .stamps/vyper")
    done = subprocess.run([ROOT / "tools/compile-contract", "--check"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
