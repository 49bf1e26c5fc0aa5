"""How many tools one answer may call, and how long the arguments of a call may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from multitap.errors import ProtocolError
from multitap.events import Failed, ToolCallChunk, ToolCallStart
from multitap.policy.clocks import Limits

__all__ = ("ToolLimits",)


class ToolLimits:
    """Counts the tool calls of one answer, and what their arguments measure."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._calls = 0
        self._sizes: dict[str, int] = {}

    def checked(self, items: Sequence[Any]) -> Sequence[Any]:
        """The same events; where one is beyond a limit, a failure in its place, and no more."""
        for place, item in enumerate(items):
            beyond = self._beyond(item)
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
            size = self._sizes.get(item.tool_call_id, 0) + len(item.tool_call_arguments_chunk)
            self._sizes[item.tool_call_id] = size
            if size > limits.arguments_bytes:
                return f"A tool call's arguments are longer than {limits.arguments_bytes} bytes"
        return None


_HINT = "Raise tool_calls or arguments_bytes in the backend's limits if that is meant to be."
