"""Chat over ``/v1/chat/completions``, streamed in any case.

TGI's answers are right only where they are streamed. Unstreamed, a text after a tool that the model
did not want has the ``finish_reason``, the counts and the ``logprobs`` of a hidden first run; a
call that ``max_tokens`` cut is a refusal; and a text that it cut inside a character is empty.

The grammar that makes calls holds one object, so there is one call a turn. Nothing comes while it
is written, but a comment every 15 seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import attrs

from multitap.capabilities.chat import ChatRequest, ThinkTags
from multitap.dialects.openai.completions import ChatCompletions
from multitap.events import Event, Notice
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange
from multitap_tgi.errors import explain_tgi
from multitap_tgi.records import TgiRecords
from multitap_tgi.requests import PROFILE, restate

__all__ = ("TgiChat", "multitap_chat")


@attrs.frozen
class TgiChat:
    """Chats with the model of one server."""

    backend: Backend

    @property
    def options(self) -> Collection[str]:
        """What reaches the model, in one way or another."""
        return PROFILE.options

    @property
    def think_tags(self) -> ThinkTags:
        """TGI tells no thinking from text."""
        return ThinkTags()

    def chat(self, request: ChatRequest, /) -> Exchange[Event]:
        """One request, put in the words that TGI takes."""
        asked, notices = restate(request)

        def records(more: Iterable[Notice], **how: Any) -> TgiRecords:
            return TgiRecords([*notices, *more], asked, **how)

        return ChatCompletions(self.backend, PROFILE, explain_tgi, records).chat(asked)


@hookimpl
def multitap_chat(backend: Backend) -> TgiChat:
    """Chat with a TGI server."""
    return TgiChat(backend)
