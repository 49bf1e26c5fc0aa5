"""Chat over ``/v1/chat/completions``, streamed or not."""

from __future__ import annotations

from multitap.dialects.openai.completions import ChatCompletions
from multitap.dialects.openai.profile import Profile
from multitap.hookspecs import Backend, hookimpl


@hookimpl
def multitap_chat(backend: Backend) -> ChatCompletions:
    """Chat with a server over HTTP."""
    return ChatCompletions(backend, Profile(provider=backend.provider))
