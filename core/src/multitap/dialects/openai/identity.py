"""Which server answers: several kinds share ports, and all of them have ``/v1/models``.

>>> look_of([("tiny", "vllm")])
Look(title='vLLM', provider='vllm')
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import NamedTuple

import msgspec

from multitap.dialects.asking import ask
from multitap.errors import BackendError, ProtocolError
from multitap.work import HttpCall, HttpReply

__all__ = ("Look", "is_foreign", "look", "look_of", "recognised", "wrong_server")


class Look(NamedTuple):
    """What a server looks like: its title, and the provider to use for it."""

    title: str
    provider: str


_OWNERS = {
    "library": Look("Ollama", "ollama"),
    "llamacpp": Look("llama-server", "llamaserver"),
    "me": Look("llama-cpp-python's server", "openai"),
    "organization_owner": Look("LM Studio", "lmstudio"),
    "vllm": Look("vLLM", "vllm"),
}
_UNTELLING = (401, 403, 407, 408, 429)
"""A key is missing, or the server is busy: nobody knows yet who it is."""


class _Row(msgspec.Struct):
    id: str | None = None
    owned_by: str | None = None


class _Listing(msgspec.Struct):
    data: list[_Row] | None = None


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


def look() -> Generator[HttpCall, HttpReply, Look | None]:
    """Inside ``Steps``: what the server looks like, by its list; ``None``: nothing is known."""
    try:
        listing = yield from ask(_Listing, "GET", "/v1/models")
    except BackendError:
        return None
    return look_of((row.id, row.owned_by) for row in listing.data or ())


def is_foreign(error: BackendError) -> bool:
    """Does an answer tell of another kind of server? Silence, a key and a crash tell nothing.

    >>> is_foreign(ProtocolError("No such path", status=404)), is_foreign(ProtocolError("No HTTP"))
    (True, False)
    """
    if error.status is None:
        return error.phase == "parse"
    return error.status < 500 and error.status not in _UNTELLING


def recognised(
    error: BackendError, expected: str, provider: str
) -> Generator[HttpCall, HttpReply, BackendError]:
    """Inside ``Steps``: what to raise where a question of this kind of server failed.

    The error itself, if it says nothing of who answers, or if it is the right server after all.

    Args:
        error: The failure.
        expected: What should answer, such as ``llama-server``.
        provider: The provider of it.
    """
    if not is_foreign(error):
        return error
    found = yield from look()
    known = found is not None and found.provider == provider
    return error if known else wrong_server(expected, found, error.message)


def wrong_server(expected: str, look: Look | None, said: str = "") -> ProtocolError:
    """The error for an endpoint at which another kind of server answers.

    Args:
        expected: What should answer.
        look: What does; ``None``: nobody knows.
        said: What it answered, for then.

    >>> wrong_server("llama-server", Look("TGI", "tgi")).hint
    'Set provider = "tgi" for this endpoint in llm.toml, or correct the endpoint.'
    """
    if look is None:
        return ProtocolError(
            f"What answers at this endpoint is not {expected}{f': {said}' if said else ''}",
            hint="Correct the endpoint, or the provider, in llm.toml.",
            kind="wrong_server",
        )
    return ProtocolError(
        f"{look.title} answers at this endpoint, not {expected}",
        hint=f'Set provider = "{look.provider}" for this endpoint in llm.toml,'
        " or correct the endpoint.",
        kind="wrong_server",
    )
