"""A program that runs under a keeper: started, read and ended from here; POSIX only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from multitap.errors import LocalError, NotSupported
from multitap.policy.clocks import GLANCE
from multitap.redaction import redact

__all__ = ("Kept", "Outcome", "Plan")

LONGEST_LOG = 200  # lines
LONGEST_LINE = 2000  # bytes
LAST_WORDS = 2.0  # seconds to read the rest of the log, which somebody else may hold open

_KEEPER = Path(__file__).with_name("keeper.py")


@attrs.frozen(kw_only=True)
class Plan:
    """What a keeper is to do.

    Attributes:
        steps: Programs, one after the other; the last one is the server.
        after: What is run when the server is over, however it ended.
        environ: The whole environment of all of them.
        grace: Seconds between SIGTERM and SIGKILL.
    """

    steps: tuple[tuple[str, ...], ...]
    environ: Mapping[str, str] = attrs.field(repr=False)
    after: tuple[str, ...] = ()
    grace: float

    def to_line(self) -> bytes:
        """As the keeper reads it."""
        told = {"steps": self.steps, "after": self.after, "grace": self.grace}
        return json.dumps(told).encode() + b"\n"


@attrs.frozen(kw_only=True)
class Outcome:
    """How it ended.

    Attributes:
        step: Which step was the last.
        code: Its exit code; below 0, a signal; ``None``: it did not run, or was ended.
        error: Why it could not be run at all.
        left: Could something not be ended, not even by SIGKILL?
    """

    step: int = 0
    code: int | None = None
    error: str | None = None
    left: bool = False


class Kept:
    """One plan being carried out. Safe to share between threads."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._lines: deque[str] = deque(maxlen=LONGEST_LOG)
        self._unread: deque[str] = deque(maxlen=LONGEST_LOG)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._outcome: Outcome | None = None
        self._stopped = False

    def start(self) -> None:
        """Start the keeper; nothing where it was stopped before.

        Raises:
            NotSupported: There are no process groups on this system.
            LocalError: No process can be started.
        """
        _check_system()
        with self._lock:
            if self._stopped:
                return
            self._process = process = self._keeper()
            _keepers.add(self)
            with suppress(OSError):  # it is over already
                _control(process).write(self.plan.to_line())
                _control(process).flush()
            self._reader = threading.Thread(
                target=self._read, args=(process,), name="multitap-log", daemon=True
            )
            self._reader.start()

    @property
    def runs(self) -> bool:
        """Was it started, and is it not over?"""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> tuple[str, ...]:
        """The last lines of what it wrote."""
        return tuple(self._lines)

    def news(self) -> Sequence[str]:
        """The lines since the last call."""
        lines = []
        with suppress(IndexError):
            while True:
                lines.append(self._unread.popleft())
        return lines

    def outcome(self) -> Outcome | None:
        """How it ended; ``None`` as long as it runs."""
        process = self._process
        if process is None or process.poll() is None:
            return None
        return self._told(process)

    def stop(self) -> None:
        """Have it ended. Never blocks; any thread; more than once."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self.let_go()

    def wait(self) -> None:
        """Block until it is over; after ``stop`` that is a matter of seconds.

        Raises:
            LocalError: Something is left that cannot be ended.
        """
        process = self._process
        if process is None:
            return
        while self.runs:
            with suppress(subprocess.TimeoutExpired):
                process.wait(GLANCE)
        outcome = self._told(process)
        if outcome.left:
            program, why = self.plan.steps[-1][0], outcome.error or "not even SIGKILL ends it"
            raise LocalError(
                f"A process of {program} may still be there: {why}",
                hint="Look for it with `ps`, and end it.",
            )

    def let_go(self) -> None:
        """Close this side of the pipe that keeps it running: its end, unless a fork has it too."""
        if self._process is not None:
            with suppress(OSError):
                _control(self._process).close()

    def _keeper(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(  # noqa: S603 - the plan itself goes through the pipe
                [sys.executable, "-I", "-S", str(_KEEPER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(self.plan.environ),
                start_new_session=True,
            )
        except OSError as error:
            raise LocalError(f"No process can be started: {error.strerror}") from error

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        with process.stderr as log:
            while line := log.readline(LONGEST_LINE):
                text = redact(line.decode("utf-8", "replace").rstrip())
                if text:
                    self._lines.append(text)
                    self._unread.append(text)
        process.wait()  # so that it is not called forgotten while it ends
        self._told(process)

    def _told(self, process: subprocess.Popen[bytes]) -> Outcome:
        """What the keeper reported, once it is over; what was written last is in the log then."""
        reader = self._reader
        if reader is not None and reader is not threading.current_thread():
            reader.join(LAST_WORDS)
        with self._lock:
            if self._outcome is None:
                assert process.stdout is not None
                with process.stdout as report:
                    self._outcome = _outcome(report.read())
            return self._outcome


def _outcome(report: bytes) -> Outcome:
    try:
        facts: dict[str, Any] = json.loads(report)
        return Outcome(**facts)
    except (TypeError, ValueError):  # the keeper itself was killed
        return Outcome(error="its keeper was killed", left=True)


def _control(process: subprocess.Popen[bytes]) -> Any:
    assert process.stdin is not None
    return process.stdin


def _check_system() -> None:
    if os.name != "posix":
        raise NotSupported(
            "A server cannot be launched on this system, which has no process groups",
            hint="Start the server yourself, and set endpoint in its section of llm.toml.",
        )


_keepers: weakref.WeakSet[Kept] = weakref.WeakSet()


def _forget_in_child() -> None:
    """A forked child does not hold what its parent launched."""
    for kept in list(_keepers):
        kept.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
