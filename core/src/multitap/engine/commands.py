"""What a flow asks its interpreter to do.

==========  ==========================================  ==============================
command     what to do                                  what to send back
==========  ==========================================  ==============================
``Send``    connect, send, wait for the head            ``Head``
``Read``    wait for bytes                              ``bytes``; ``b""`` at the end
``Pour``    read, feed, give out what comes of it, for
            as long as it is not ``over``
``Start``   begin local work
``Take``    wait for results of the local work          the results; ``None`` at the end
``Done``    drain what is left, keep the connection
``Drop``    abort the connection, or the local work
``Sleep``   wait
``Wait``    wait for a ticket's turn, or for a time
``Switch``  go on with another call, another backend's
``Out``     give the results to the caller
==========  ==========================================  ==============================
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Union

import attrs

from multitap.work import Emit, HttpCall, Out, Sleep

if TYPE_CHECKING:
    from multitap.engine.call import Call
    from multitap.policy.admission import Ticket

__all__ = (
    "Command",
    "Done",
    "Drop",
    "Pour",
    "Read",
    "Send",
    "Start",
    "Steps",
    "Switch",
    "Take",
    "Wait",
)

T = TypeVar("T")


@attrs.frozen
class Send:
    """Send a request."""

    call: HttpCall


@attrs.frozen
class Read:
    """Read some of the answer; ``idle``: the seconds of silence to bear, if not the clocks'."""

    idle: float | None = None


@attrs.define
class Pour(Generic[T]):
    """Read, feed, and give the results to the caller, until the bytes end or it is ``over``.

    It is where tokens pass, so the flow itself rests meanwhile. ``step`` takes bytes, and gives
    what comes of them and whether that was all; it does not hold the ``Pour`` itself, or each call
    would leave a circle to the garbage collector.
    """

    step: Callable[[bytes], tuple[Sequence[T], bool]]
    idle: Callable[[], float] | None = None
    over: bool = False


@attrs.frozen
class Start(Generic[T]):
    """Begin local work."""

    run: Callable[[Emit[T]], None]


@attrs.frozen
class Take:
    """Take results of the local work."""


@attrs.frozen
class Done:
    """The answer is whole."""


@attrs.frozen
class Drop:
    """Give up this attempt."""


@attrs.frozen
class Wait:
    """Sleep so many seconds, or until the ticket is called."""

    ticket: Ticket
    seconds: float


@attrs.frozen
class Switch(Generic[T]):
    """Carry out what follows for this call."""

    call: Call[T]


Command = Union[Send, Read, Pour[T], Start[T], Take, Done, Drop, Sleep, Wait, Switch[T], Out[T]]
Steps = Generator[Command[T], Any, Any]
