"""Where commands talk to a person, and how they run what is asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import typer
from rich.console import Console

T = TypeVar("T")
talk = Console(stderr=True)


def must_stop(apply: bool) -> bool:
    """Where what changes something prints its plan first: whether the plan is all that was wanted."""
    if not apply:
        talk.print("Nothing was changed. With --apply it is done.")
    return not apply


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run to the end; Ctrl-C ends it quietly."""
    import uvloop

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work())
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
