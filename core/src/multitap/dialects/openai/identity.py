"""Which server answers: several kinds share ports, and all of them have ``/v1/models``.

>>> look_of([("tiny", "vllm")])
Look(title='vLLM', provider='vllm')
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from multitap.errors import ProtocolError

__all__ = ("Look", "look_of", "wrong_server")


class Look(NamedTuple):
    """What a server looks like: its title, and the provider to use for it."""

    title: str
    provider: str


_OWNERS = {
    "library": Look("Ollama", "ollama"),
    "llamacpp": Look("llama-server", "llamaserver"),
    "me": Look("llama-cpp-python's server", "llamaserver"),
    "organization_owner": Look("LM Studio", "lmstudio"),
    "vllm": Look("vLLM", "vllm"),
}


def look_of(rows: Iterable[tuple[str | None, str | None]]) -> Look | None:
    """What the rows of ``/v1/models`` look like; TGI names a model as its own owner.

    Args:
        rows: ``id`` and ``owned_by`` of each.
    """
    for name, owner in rows:
        if owner in _OWNERS:
            return _OWNERS[owner]
        if name and name == owner:
            return Look("TGI", "tgi")
    return None


def wrong_server(expected: str, look: Look | None) -> ProtocolError:
    """The error for an endpoint at which another kind of server answers.

    >>> wrong_server("llama-server", Look("TGI", "tgi")).hint
    'Set provider = "tgi" for this endpoint in llm.toml, or correct the endpoint.'
    """
    if look is None:
        return ProtocolError(
            f"What answers at this endpoint is not {expected}", kind="wrong_server"
        )
    return ProtocolError(
        f"{look.title} answers at this endpoint, not {expected}",
        hint=f'Set provider = "{look.provider}" for this endpoint in llm.toml,'
        " or correct the endpoint.",
        kind="wrong_server",
    )
