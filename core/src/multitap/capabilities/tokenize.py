"""Tokenize: text in, the model's token ids out, and back."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import attrs

from multitap.events import Notice
from multitap.work import Work

__all__ = (
    "DeclaresTokenizeOptions",
    "DetokenizeRequest",
    "TokenText",
    "TokenizeRequest",
    "Tokenizer",
    "Tokens",
)


@attrs.frozen(kw_only=True)
class TokenizeRequest:
    """Text to split. ``special``: also add the tokens that the model puts around a text."""

    model: str
    text: str = attrs.field(repr=False)
    special: bool = False


@attrs.frozen(kw_only=True)
class Tokens:
    """Token ids, and the bytes of each where the backend gives them.

    Attributes:
        warnings: What was asked for and could not be honoured; the runtime fills it in.
    """

    ids: tuple[int, ...]
    pieces: tuple[bytes, ...] | None = None
    warnings: tuple[Notice, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


@attrs.frozen(kw_only=True)
class DetokenizeRequest:
    """Ids to join."""

    model: str
    ids: tuple[int, ...] = attrs.field(repr=False)


@attrs.frozen
class TokenText:
    """The text of some ids."""

    text: str


class Tokenizer(Protocol):
    """Implemented by a plugin; stateless and safe to share between threads."""

    def tokenize(self, request: TokenizeRequest, /) -> Work[Tokens]:
        """Work with one result."""
        ...

    def detokenize(self, request: DetokenizeRequest, /) -> Work[TokenText]:
        """Work with one result."""
        ...


class DeclaresTokenizeOptions(Protocol):
    """Optional: whether ``special`` is heard; where it is not among these, it is warned of."""

    @property
    def options(self) -> Collection[str]:
        """``special``, or nothing."""
        ...
