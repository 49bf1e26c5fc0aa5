"""How much of an answer is kept: of its tool calls, and of what only its provider understands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from multitap.errors import ProtocolError
from multitap.events import (
    Failed,
    ImageData,
    Permission,
    Stop,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallStart,
    UsageReport,
)
from multitap.messages import parse_arguments
from multitap.nesting import is_beyond
from multitap.policy.clocks import Limits

__all__ = ("MEASURED", "KeptLimits")

MEASURED = frozenset(
    {ToolCallStart, ToolCallChunk, ToolCallEnd, ImageData, Permission, UsageReport, Stop}
)
"""The classes of events that are looked at; of texts and thoughts there are too many."""

_OF_CALLS = frozenset({ToolCallStart, ToolCallChunk, ToolCallEnd})


class KeptLimits:
    """Counts the tool calls of one answer, and measures what is kept as the server wrote it.

    Arguments that are no JSON object, that are nested too deeply, or that have too long a number,
    are no failure: their call is told to be ``incomplete``, and the text is there.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._calls = 0
        self._sizes: dict[str, int] = {}
        self._pieces: dict[str, list[str]] = {}

    def checked(self, items: Sequence[Any]) -> Sequence[Any]:
        """The same events; where one is beyond a limit, a failure in its place, and no more."""
        for place, item in enumerate(items):
            if (kind := type(item)) not in MEASURED:
                continue
            beyond = self._beyond(item) if kind in _OF_CALLS else None
            opaque = item.permission if kind is Permission else item.provider_options
            if beyond is None and opaque:
                beyond = self._beyond_in(opaque)
            if beyond is not None:
                error = ProtocolError(beyond, kind="limit_exceeded", phase="parse", hint=_HINT)
                return [*items[:place], Failed(error)]
        return items

    def _beyond(self, item: object) -> str | None:
        limits = self._limits
        if isinstance(item, ToolCallStart):
            self._calls += 1
            if self._calls > limits.tool_calls:
                return f"The answer calls more than {limits.tool_calls} tools"
        elif isinstance(item, ToolCallChunk):
            piece = item.tool_call_arguments_chunk
            self._pieces.setdefault(item.tool_call_id, []).append(piece)
            size = self._sizes.get(item.tool_call_id, 0) + len(piece)
            self._sizes[item.tool_call_id] = size
            if size > limits.arguments_bytes:
                return f"A tool call's arguments are longer than {limits.arguments_bytes} bytes"
        elif isinstance(item, ToolCallEnd):
            self._end(item)
        return None

    def _end(self, call: ToolCallEnd) -> None:
        pieces, text = self._pieces.pop(call.tool_call_id, ()), call.tool_call_arguments_complete
        text = "".join(pieces) if text is None else text
        depth, digits = self._limits.json_depth, self._limits.json_digits
        if not call.incomplete and parse_arguments(text, depth=depth, digits=digits) is None:
            call.incomplete = True

    def _beyond_in(self, opaque: object) -> str | None:
        depth, digits = self._limits.json_depth, self._limits.json_digits
        if not is_beyond(opaque, depth=depth, digits=digits):
            return None
        return (
            f"The server's own data of the answer is nested deeper than {depth} levels,"
            f" or has a number of more than {digits} digits"
        )


_HINT = (
    "Raise tool_calls or arguments_bytes, or json_depth or json_digits, in the backend's limits if"
    " that is meant to be."
)
