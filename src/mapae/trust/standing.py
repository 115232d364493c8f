"""What may be said of the log today: which engine, how many operators, who cosigned when.

Promises: claims no more than the engine assures. Trusts: the engine's own word on itself, the policy for witnesses.
Keeps: nothing. Refuses: to call a log of one operator a blockchain.
"""

from __future__ import annotations

from typing import Any

from mapae.errors import Refused
from mapae.trust.checkpoints import NAMES, Checkpoints
from mapae.trust.engine import Assurance, Ledger
from mapae.trust.log.policy import Policy


def called(assurance: Assurance) -> str:
    """The name this engine may go by."""
    faults = f"tolerates {assurance.faults_tolerated} fault{'' if assurance.faults_tolerated == 1 else 's'}"
    if not assurance.multi_party:
        return f"tamper-evident log, single operator, {faults}"
    kind = "blockchain" if assurance.final else "chain without finality"
    return f"{kind} of {assurance.operators} operators, {faults}"


async def standing(ledger: Ledger, checkpoints: Checkpoints) -> dict[str, Any]:
    """Everything `mapae ledger status` prints, as JSON."""
    assurance, policy = await ledger.assurance(), await checkpoints.policy()
    state = await ledger.state()
    logs: dict[str, Any] = {}
    for log, name in NAMES.items():
        kept = await checkpoints.published(log)
        head, alarm = state.head(log), checkpoints.alarms.get(log, "")
        try:
            head = await ledger.head(log)
        except Refused as refused:  # what was known last is still worth telling
            alarm = alarm or refused.detail
        said: dict[str, Any] = {"size": head.size, "root": head.root.hex(), "alarm": alarm}
        cosigned = await checkpoints.cosigned(log)
        if kept is not None and cosigned is not None:
            said["checkpoint"] = {
                "origin": cosigned.checkpoint.origin, "size": kept.size, "root": kept.root.hex(),
                "cosigned_at": dict(cosigned.times), "age_from": cosigned.age_from,
            }  # fmt: skip
        logs[name] = said
    return {
        "engine": assurance.engine,
        "called": called(assurance),
        "operators": assurance.operators,
        "faults_tolerated": assurance.faults_tolerated,
        "final": assurance.final,
        "multi_party": assurance.multi_party,
        "governors": state.standing,
        "threshold": state.threshold,
        "delay": state.delay,
        "parties": len(state.parties),
        "keys": len(state.keys),
        "readers": len(state.readers),
        "quorum": quorum(policy),
        "witnesses": {
            name: {
                "url": witness.url or "",
                "trouble": checkpoints.witnesses[name].trouble if name in checkpoints.witnesses else "",
            }
            for name, witness in policy.witnesses.items()
        },
        "logs": logs,
    }


def quorum(policy: Policy) -> str:
    """How many witnesses it takes, in words."""
    group = policy.groups.get(policy.quorum or "")
    if group is not None:
        return f"{group.least} of {len(group.members)}"
    return "nobody" if policy.quorum == "none" else str(policy.quorum)
