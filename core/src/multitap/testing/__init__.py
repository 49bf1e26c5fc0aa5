"""What tests of plugins need: a scripted server, recorded traffic, and checks of the house's laws.

Nothing here needs more than the core's own dependencies. ``Server`` plays scripts of *steps*
(``request``, ``send``, ``hold``, ``reset``, …) on raw sockets, ``Recording`` replays what a real
server said.
"""

from __future__ import annotations

from multitap.testing.answers import json, ndjson, respond, sse
from multitap.testing.chunking import (
    assert_chunking_invariant,
    assert_truncation_is_seen,
    outputs_of,
)
from multitap.testing.connection import Connection, Moment
from multitap.testing.cuts import cuts_of, pieces_of
from multitap.testing.gate import CEILING, Gate
from multitap.testing.grammar import assert_stream_grammar, broken_rules
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
    repeat,
    request,
    reset,
    secure,
    send,
    sleep,
    tell,
    turn,
    when,
)
from multitap.testing.worlds import WORLDS, Blocking, OnALoop, World

__all__ = (
    "CEILING",
    "WORLDS",
    "Blocking",
    "Connection",
    "Gate",
    "Moment",
    "OnALoop",
    "ReceivedRequest",
    "Recording",
    "Script",
    "Server",
    "Step",
    "World",
    "assert_chunking_invariant",
    "assert_stream_grammar",
    "assert_truncation_is_seen",
    "broken_rules",
    "client_closed",
    "close",
    "cuts_of",
    "drip",
    "half_close",
    "hold",
    "json",
    "ndjson",
    "outputs_of",
    "pieces_of",
    "repeat",
    "request",
    "reset",
    "respond",
    "secure",
    "send",
    "sleep",
    "sse",
    "tell",
    "turn",
    "when",
)
