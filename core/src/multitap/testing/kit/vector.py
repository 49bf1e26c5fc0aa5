"""A vector: what to ask, what a server said to it, and what is to come of it.

It is a recording's JSON file (see ``multitap.testing.Recording``) with two more keys::

    {
      "scenario": "hello",
      "ask": {"verb": "stream", "args": ["hi"], "options": {"max_tokens": 8}},
      "request": {…}, "response": {…},
      "expect": {"text": "Hello", "stop_reason": "complete"}
    }

``ask`` is a verb of ``Runtime`` and what it is called with, the model left out. ``expect`` holds what
the result has to say, or the ``error`` that has to be raised; a fact that it does not name is not
looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from multitap.testing.recording import Recording

__all__ = ("Ask", "Vector", "load_vectors")

CAPABILITY_OF = {
    **dict.fromkeys(("chat", "stream"), "chat"),
    "embed": "embedding",
    "rerank": "rerank",
    **dict.fromkeys(("tokenize", "detokenize"), "tokenize"),
    **dict.fromkeys(("transcribe", "transcribe_stream"), "transcription"),
    **dict.fromkeys(("speak", "speak_stream", "voices"), "speech"),
    "moderate": "moderation",
    "draw": "image",
    **dict.fromkeys(("models", "describe"), "catalog"),
    **dict.fromkeys(("pull", "pull_stream", "load", "unload", "copy"), "lifecycle"),
    **dict.fromkeys(("delete", "create", "running"), "lifecycle"),
    "validate": "provider",
}
"""Which capability a verb of ``Runtime`` needs."""


@attrs.frozen
class Ask:
    """One call of ``Runtime``: its verb, and what it is called with."""

    verb: str = attrs.field(default="stream", validator=attrs.validators.in_(CAPABILITY_OF))
    args: Sequence[Any] = ("hi",)
    options: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def capability(self) -> str:
        """The capability that it needs."""
        return CAPABILITY_OF[self.verb]


@attrs.frozen(kw_only=True)
class Vector:
    """One exchange, and what is to come of it.

    Attributes:
        name: For reports; a file's name without its suffix.
        expect: Facts of the result, by name; or ``error``, the name of the class to be raised, and
            facts of that, such as ``kind``.
    """

    name: str
    ask: Ask
    recording: Recording = attrs.field(repr=False)
    expect: Mapping[str, Any] = attrs.field(repr=False)

    @classmethod
    def load(cls, path: Path) -> Vector:
        """Read a vector's JSON file."""
        data = json.loads(path.read_text("utf-8"))
        return cls(
            name=path.stem,
            ask=Ask(**data["ask"]),
            recording=Recording.load(path),
            expect=data["expect"],
        )

    @property
    def kind(self) -> str:
        """``answers``, ``streams`` or ``refusals``."""
        if "error" in self.expect:
            return "refusals"
        return "streams" if self.ask.verb.endswith("stream") else "answers"


def load_vectors(folder: Path) -> Iterator[Vector]:
    """The vectors of a folder, the smallest first, so that the first to fail is the smallest."""
    found = map(Vector.load, folder.glob("*.json"))
    yield from sorted(found, key=lambda vector: (len(vector.recording.response), vector.name))
