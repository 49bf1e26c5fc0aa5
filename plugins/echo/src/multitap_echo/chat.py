"""Chat: says the last user message back, by the rules of the README."""

from __future__ import annotations

from collections.abc import Iterator

from multitap.capabilities.chat import ChatRequest
from multitap.events import Event, Stop, UsageReport
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange
from multitap_echo.local import local
from multitap_echo.media import media_events
from multitap_echo.script import read_script
from multitap_echo.speaking import call_events, extra_notices, reasoning_events, text_events
from multitap_echo.words import limited, usage


class EchoChat:
    """Needs no server; the options that it does not name here become warnings."""

    options = frozenset(
        {"tools", "tool_choice", "response_schema", "max_tokens", "stop"}
        | {"seed", "think", "logprobs", "n"}
    )

    def __init__(self, backend: Backend) -> None:
        self._size: int = max(1, backend.settings.get("pieces", 8))
        self._reply: str | None = backend.settings.get("reply")

    def chat(self, request: ChatRequest, /) -> LocalExchange[Event]:
        """Answer in pieces of a few characters."""
        return local(lambda: self._events(request))

    def _events(self, request: ChatRequest) -> Iterator[Event]:
        script = read_script(request, self._reply)
        yield from extra_notices(request)
        text, reason = limited(script.text, request)
        calls = script.calls if reason != "max_tokens" else []
        for choice in range(request.n):
            yield from reasoning_events(script.thought, self._size, choice)
            yield from text_events(text, self._size, request.logprobs, choice)
            yield from media_events(request, choice)
            yield from call_events(calls, request, choice)
        if script.failure:
            raise script.failure
        yield UsageReport(usage(request, text, script.thought))
        for choice in reversed(range(request.n)):
            yield Stop("tool_use" if calls else reason, choice)


@hookimpl
def multitap_chat(backend: Backend) -> EchoChat:
    """Echo what is said."""
    return EchoChat(backend)
