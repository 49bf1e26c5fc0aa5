"""Waiting for a launched server: its first answers, or why there are none."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any

from multitap.dialects.openai.errors import explain_openai
from multitap.engine.kept import Kept, Outcome
from multitap.errors import BackendError, EngineError, LocalError, MultitapError, Timeout
from multitap.events import Loading
from multitap.work import HttpCall, Operation, Out, Sleep, Steps, fetch

__all__ = ("becoming_ready",)

LONGEST_ANSWER = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
SHOWN = 8  # lines of the log in an error


def becoming_ready(
    kept: Kept, ready: Sequence[str], seconds: float, install: str
) -> Operation[Loading]:
    """Start it, and ask these paths in turn until the last one answers; results: its log.

    Args:
        kept: What is to be started.
        ready: Paths, relative to the endpoint.
        seconds: How long all of that may take.
        install: What to do where the program is not there.
    """

    def steps() -> Steps[Loading]:
        give_up = time.monotonic() + seconds
        yield Out([Loading(f"starting {kept.plan.steps[-1][0]}")])
        kept.start()
        for path in ready:
            pause = FIRST_PAUSE
            while not (yield from _answers(path)):
                yield Out([Loading(line) for line in kept.news()])
                outcome = kept.outcome()
                if outcome is not None:
                    raise _failure(kept, outcome, install)
                if time.monotonic() > give_up:
                    raise _too_slow(kept, path, seconds)
                yield Sleep(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE)
        yield Out([Loading(line) for line in kept.news()])

    return Operation(steps, explain_openai)


def _answers(path: str) -> Generator[HttpCall, Any, bool]:
    try:
        yield from fetch(HttpCall(method="GET", path=path, first_byte=LONGEST_ANSWER))
    except BackendError as error:
        if error.status in (401, 403):
            raise
        return False
    return True


def _failure(kept: Kept, outcome: Outcome, install: str) -> MultitapError:
    """Why it is not there any more, by the step that ended."""
    program = kept.plan.steps[outcome.step][0]
    is_last = outcome.step == len(kept.plan.steps) - 1
    if outcome.error is not None:
        return LocalError(f"{program} cannot be run: {outcome.error}", hint=install)
    if not is_last:
        return LocalError(f"{program} does not answer{_told(kept)}", hint=f"Start {program}.")
    how = f"with exit code {outcome.code}"
    if outcome.code is not None and outcome.code < 0:
        how = f"by signal {-outcome.code}"
    return EngineError(
        f"{program} ended {how} before it was ready{_told(kept)}",
        kind="launch_failed",
        phase="local",
        hint="The last lines of its log say why.",
    )


def _too_slow(kept: Kept, path: str, seconds: float) -> Timeout:
    return Timeout(
        f"{path} of {kept.plan.steps[-1][0]} did not answer within {seconds:g} s{_told(kept)}",
        kind="launch_timeout",
        phase="local",
        hint="Pass a longer timeout=; a first start may download the model.",
    )


def _told(kept: Kept) -> str:
    lines = kept.log[-SHOWN:]
    return "; its log ends with:\n" + "\n".join(lines) if lines else ", and its log is empty"
