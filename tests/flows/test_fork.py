"""Two views of the trust log: the second is refused by witness and checker, and the evidence is kept."""

from __future__ import annotations

from pathlib import Path

from mapae.demo_fork import show_fork
from mapae.trust.log.note import Checkpoint, Note


async def test_the_second_view_is_refused_and_the_evidence_kept(tmp_path: Path) -> None:
    said: list[str] = []
    shown = await show_fork(tmp_path, said.append)
    honest = Checkpoint.parse(Note.parse(shown.honest.encode()).text)
    assert all("has seen another history" in alarm for alarm in shown.alarms), shown.alarms
    assert "fewer witnesses" in shown.refused
    assert sorted(one.kind for one in shown.evidence) == ["fork", "unproven"]
    for one in shown.evidence:
        ours, theirs = (Checkpoint.parse(Note.parse(text.encode()).text) for text in (one.ours, one.theirs))
        assert ours == honest and theirs.root != honest.root and theirs.size >= honest.size
        assert one.theirs in "\n".join(said)
