"""What a call cost, in tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

__all__ = ("Usage", "UsageSource")

UsageSource = Literal["reported", "estimated", "unknown"]
_SUREST_LAST: tuple[UsageSource, ...] = ("unknown", "estimated", "reported")


@attrs.define(weakref_slot=False)
class Usage:
    """Tokens of one call; ``None`` is unknown, never zero."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    source: UsageSource = "unknown"

    @classmethod
    def reported(
        cls, input_tokens: int | None, output_tokens: int | None, **more: int | None
    ) -> Usage:
        """What a server said; the total is the sum where it gives none.

        >>> Usage.reported(3, 4).total_tokens
        7
        """
        total = more.pop("total_tokens", None)
        if total is None and input_tokens is not None and output_tokens is not None:
            total = input_tokens + output_tokens
        known = input_tokens is not None or output_tokens is not None or total is not None
        source: UsageSource = "reported" if known else "unknown"
        return cls(input_tokens, output_tokens, total, source=source, **more)

    @property
    def prompt_tokens(self) -> int | None:
        """``input_tokens`` under the contract's name."""
        return self.input_tokens

    @property
    def completion_tokens(self) -> int | None:
        """``output_tokens`` under the contract's name."""
        return self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        """Of two calls together; a count that one of them does not know is unknown."""
        if not isinstance(other, Usage):
            return NotImplemented
        names = [field.name for field in attrs.fields(Usage) if field.name != "source"]
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in names}
        counts = {name: None if None in pair else sum(pair) for name, pair in pairs.items()}
        sources = {self.source, other.source}
        return Usage(**counts, source=next(s for s in _SUREST_LAST if s in sources))

    def __radd__(self, other: int) -> Usage:
        return self if other == 0 else NotImplemented

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, with the contract's names."""
        facts = {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.total_tokens,
            "cached_tokens": self.cached_tokens,
            "cache_write_tokens": self.cache_write_tokens,
            "reasoning_tokens": self.reasoning_tokens,
        }
        return {**{k: v for k, v in facts.items() if v is not None}, "source": self.source}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Usage:
        """From the JSON form."""
        names = ("total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
        known = {name: data[name] for name in names if name in data}
        source = data.get("source", "reported")
        return cls(data.get("prompt_tokens"), data.get("completion_tokens"), source=source, **known)
