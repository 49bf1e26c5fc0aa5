"""How long to wait for what, and how much to take: the bounds of one call, in seconds and bytes.

==============  =========================================================================  =======
clock           of what                                                                    seconds
==============  =========================================================================  =======
``connect``     one TCP connection                                                               5
``opening``     name, every address, and TLS                                                    10
``queue``       a turn, where the backend takes no more calls at once                           30
``write``       a write of which nothing moves                                                  30
``first_byte``  the first byte of an answer; listings and embeddings 60, an answer that          120
                comes whole as long as the call
``head``        the rest of its status line and headers                                         30
``idle``        silence within an answer                                                        60
``progress``    bytes that say nothing: pings, comments                                        300
==============  =========================================================================  =======

>>> Clocks(idle=5).evolved({"connect": 1}).connect
1
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from multitap.nesting import DEPTH, DIGITS

if TYPE_CHECKING:
    from multitap.work import HttpCall  # to read the configuration costs nothing of the engine

__all__ = ("GLANCE", "Clocks", "Limits")

MIB = 1 << 20
GLANCE = 1.0
"""The longest that anything blocks at once, in seconds: a Ctrl-C that comes in the moment before
Python blocks does not wake it, and is heeded only when it next runs."""
_WISHES = frozenset({"first_byte", "idle"})


@attrs.frozen(kw_only=True)
class Clocks:
    """The clocks of one call; ``deadline``, of the whole of it, is a reading of ``now``.

    What an ``HttpCall`` wants goes before them, but not before those that were ``asked`` for.
    """

    connect: float = 5.0
    opening: float = 10.0
    queue: float = 30.0
    write: float = 30.0
    first_byte: float = 120.0
    head: float = 30.0
    idle: float = 60.0
    progress: float = 300.0
    deadline: float | None = None
    now: Callable[[], float] = attrs.field(default=time.monotonic, repr=False)
    asked: frozenset[str] = attrs.field(default=frozenset(), repr=False)

    def evolved(self, changes: Mapping[str, Any]) -> Clocks:
        """The same with some of them set as the user asks."""
        asked = self.asked.union(changes)
        return attrs.evolve(self, **changes, asked=asked) if changes else self

    def over(self, call: HttpCall) -> HttpCall:
        """The call without those wishes of its plugin that the user has overruled."""
        if _WISHES.isdisjoint(self.asked):
            return call
        first_byte = None if "first_byte" in self.asked else call.first_byte
        return attrs.evolve(
            call, first_byte=first_byte, idle=None if "idle" in self.asked else call.idle
        )

    def left(self, limit: float) -> float:
        """The shorter of a clock and what is left until the deadline; none of it: it has passed."""
        return limit if self.deadline is None else min(limit, self.deadline - self.now())


@attrs.frozen(kw_only=True)
class Limits:
    """How much of an answer is taken.

    Attributes:
        head_bytes: Of status line and headers.
        head_lines: Headers, trailers included.
        record_bytes: One event of SSE, or one line of NDJSON; ``None``: as the plugin says, which
            mostly is 16 MiB.
        body_bytes: An answer that is read whole, decoded; ``None``: as the plugin says, mostly
            64 MiB. For vectors the runtime sets 256 MiB.
        error_bytes: A refusal's body.
        ratio: Decoded to encoded bytes, after the first MiB.
        arguments_bytes: One tool call's arguments.
        tool_calls: Calls in one answer.
        json_depth: Objects and lists within each other, in what is kept as the server wrote it.
        json_digits: Digits of a whole number there.
    """

    head_bytes: int = 64 * 1024
    head_lines: int = 100
    record_bytes: int | None = None
    body_bytes: int | None = None
    error_bytes: int = 64 * 1024
    ratio: int = 200
    arguments_bytes: int = MIB
    tool_calls: int = 128
    json_depth: int = DEPTH
    json_digits: int = DIGITS

    def evolved(self, changes: Mapping[str, Any]) -> Limits:
        """The same with some of them set otherwise."""
        return attrs.evolve(self, **changes) if changes else self
