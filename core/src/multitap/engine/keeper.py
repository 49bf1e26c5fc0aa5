"""Keeps a program, and ends it with all its children when whoever asked for it is gone.

Run by itself, ``python -I -S keeper.py``, with nothing but the standard library. The first line of
its standard input says what to run; where that input ends, be it by a kill, so does the program.
What the program writes goes to standard error; standard output has one line of JSON, at the end::

    {"steps": [["docker", "info"], ["docker", "run", "…"]], "after": ["docker", "rm"], "grace": 10}
    {"step": 1, "code": 3, "left": false}

Each step has to succeed before the next one begins; the last one is the program. What is left of a
step gets SIGTERM, and SIGKILL after ``grace`` seconds: its process group, and on Linux also what
has left the group, because orphans become children of this process there. ``after`` is run at the
end if the last step was begun.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ("Keeper", "main")

PR_SET_CHILD_SUBREAPER = 36
UNKILLABLE = 5.0  # seconds until what got SIGKILL is given up
AFTERWARDS = 30.0  # seconds that cleaning up may take
CONTROL, LOG = 0, 2


class Keeper:
    """Runs one program at a time; ``stopping`` is set once it is to end."""

    def __init__(self, grace: float) -> None:
        self.stopping = False
        self._grace = grace
        self._wakeup, writer = os.pipe()
        for end in (self._wakeup, writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._asked)

    def run(self, argv: list[str]) -> dict[str, Any]:
        """Run it to its end, or until it is to end; nothing of it is left afterwards."""
        try:
            child = subprocess.Popen(  # noqa: S603 - what the application asked for
                argv, stdin=subprocess.DEVNULL, stdout=LOG, start_new_session=True
            )
        except OSError as error:
            return {"code": None, "error": error.strerror}
        code: int | None = None
        while code is None and not self.stopping:
            self._sleep(None)
            code = self._reap()[1].get(child.pid)
        left = self._end(child.pid)
        child.returncode = code or 0  # it was waited for here
        return {"code": code, "left": left}

    def _end(self, group: int) -> bool:
        """End what is left of a group; ``True``: something cannot be ended."""
        for number, patience in ((signal.SIGTERM, self._grace), (signal.SIGKILL, UNKILLABLE)):
            _signal_group(group, number)
            told: set[int] = set()
            give_up = time.monotonic() + patience
            while self._is_anyone_left(group):
                told = _signal_orphans(group, number, told)
                left = give_up - time.monotonic()
                if left <= 0:
                    break
                self._sleep(left)
            else:
                return False
        return True

    def _is_anyone_left(self, group: int) -> bool:
        if self._reap()[0]:
            return True
        with suppress(OSError):
            os.killpg(group, 0)
            return True
        return False

    def _reap(self) -> tuple[bool, dict[int, int]]:
        """Whether there still are children, and the exit codes of those that ended."""
        ended = {}
        try:
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                ended[found[0]] = os.waitstatus_to_exitcode(found[1])
        except ChildProcessError:
            return False, ended
        return True, ended

    def _sleep(self, seconds: float | None) -> None:
        """Until a child ends, or the program is to end, or the time is over."""
        control = [] if self.stopping else [CONTROL]
        ready = select.select([*control, self._wakeup], [], [], seconds)[0]
        if self._wakeup in ready:
            os.read(self._wakeup, 512)
        if CONTROL in ready and not os.read(CONTROL, 512):
            self.stopping = True

    def _asked(self, *_: object) -> None:
        self.stopping = True


def _signal_group(group: int, number: int) -> None:
    with suppress(OSError):  # it is gone
        os.killpg(group, number)


def _signal_orphans(group: int, number: int, told: set[int]) -> set[int]:
    """Signal children of this process that are in another group, once each."""
    own = os.getpid()
    children: set[int] = set()
    with suppress(OSError):  # no such file on this system
        children = set(map(int, Path(f"/proc/self/task/{own}/children").read_text().split()))
    for child in children - told:
        with suppress(OSError):
            if os.getpgid(child) != group:
                os.kill(child, number)
    return told | children


def _adopt_orphans() -> None:
    """On Linux, have processes that lose their parent become children of this one."""
    import ctypes

    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(CONTROL, 1)):
        line += byte
    return line


def _clean_up(argv: list[str]) -> None:
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(  # noqa: S603 - likewise
            argv, check=False, stdin=subprocess.DEVNULL, stdout=LOG, timeout=AFTERWARDS
        )


def main() -> None:
    """Keep what standard input says."""
    if sys.platform == "linux":
        _adopt_orphans()
    told = json.loads(_first_line())
    keeper = Keeper(told["grace"])
    outcome: dict[str, Any] = {}
    for number, argv in enumerate(told["steps"]):
        outcome = {"step": number, **keeper.run(argv)}
        if keeper.stopping or outcome["code"] != 0:
            break
    if told["after"] and outcome["step"] == len(told["steps"]) - 1:
        _clean_up(told["after"])
    with suppress(OSError):  # nobody is left to be told
        os.write(1, json.dumps(outcome).encode())


if __name__ == "__main__":
    main()
