"""What tests of plugins need: a scripted server, recorded traffic, and checks of the house's laws.

Nothing here needs more than the core's own dependencies. ``Server`` plays scripts of *steps*
(``request``, ``send``, ``hold``, ``reset``, …) on raw sockets, ``Recording`` replays what a real
server said.
"""

from __future__ import annotations

from multitap.testing.answers import json, ndjson, respond, sse
from multitap.testing.connection import Connection, Moment
from multitap.testing.gate import CEILING, Gate
from multitap.testing.received import ReceivedRequest
from multitap.testing.recording import Recording
from multitap.testing.server import Server
from multitap.testing.steps import (
    Script,
    Step,
    client_closed,
    close,
    drip,
    half_close,
    hold,
    pieces_of,
    repeat,
    request,
    reset,
    send,
    sleep,
    tell,
    turn,
    when,
)

__all__ = (
    "CEILING",
    "Connection",
    "Gate",
    "Moment",
    "ReceivedRequest",
    "Recording",
    "Script",
    "Server",
    "Step",
    "client_closed",
    "close",
    "drip",
    "half_close",
    "hold",
    "json",
    "ndjson",
    "pieces_of",
    "repeat",
    "request",
    "reset",
    "respond",
    "send",
    "sleep",
    "sse",
    "tell",
    "turn",
    "when",
)
