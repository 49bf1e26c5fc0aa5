"""A vector: what to ask, what a server said to it, and what is to come of it.

It is a recording's JSON file (see ``multitap.testing.Recording``) with two more keys::

    {
      "scenario": "hello",
      "ask": {"verb": "stream", "args": ["hi"], "options": {"max_tokens": 8}},
      "request": {…}, "response": {…},
      "expect": {"text": "Hello", "stop_reason": "complete"}
    }

``ask`` is a verb of ``Runtime`` and what it is called with, the model left out where it is the
class's own (the verbs about one model have its id as an argument, those about a whole backend have
none); a file is
``{"file": "hello.wav"}``, which lies beside. ``expect`` holds what the result has to say, or the
``error`` that has to be raised; a fact that it does not name is not looked at. Where a question
takes several requests, ``beside`` names the recordings of the others, in their order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from multitap.errors import ConfigError
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
    **dict.fromkeys(("slots", "save_slot", "restore_slot", "erase_slot"), "lifecycle"),
    "validate": "provider",
}
"""Which capability a verb of ``Runtime`` needs."""


@attrs.frozen
class Ask:
    """One call of ``Runtime``: its verb, and what it is called with."""

    verb: str = attrs.field(default="stream", validator=attrs.validators.in_(CAPABILITY_OF))
    args: Sequence[Any] = ("hi",)
    options: Mapping[str, Any] = attrs.field(factory=dict)

    def __str__(self) -> str:
        call = [*map(repr, self.args), *(f"{n}={value!r}" for n, value in self.options.items())]
        return f"rt.{self.verb}({', '.join(call)})"

    @property
    def capability(self) -> str:
        """The capability that it needs."""
        return CAPABILITY_OF[self.verb]

    @property
    def streamed(self) -> bool:
        """Is the result read as it comes?"""
        return self.verb.endswith("stream")


@attrs.frozen(kw_only=True)
class Vector:
    """One exchange, and what is to come of it.

    Attributes:
        name: For reports; a file's name without its suffix.
        expect: Facts of the result, by name; or ``error``, the name of the class to be raised, and
            facts of that, such as ``kind``.
        beside: Further exchanges that the same question takes.
    """

    name: str
    ask: Ask
    recording: Recording = attrs.field(repr=False)
    expect: Mapping[str, Any] = attrs.field(repr=False)
    beside: Sequence[Recording] = attrs.field(default=(), repr=False)

    @classmethod
    def question(cls, name: str, ask: Ask) -> Vector:
        """One of which nothing was recorded: it is asked of this process, or of a real server."""
        silence = b"HTTP/1.1 204 No Content\r\n\r\n"
        nothing = Recording(scenario=name, request=b"GET / HTTP/1.1\r\n\r\n", reads=(silence,))
        return cls(name=name, ask=ask, recording=nothing, expect={})

    @classmethod
    def by_hand(
        cls,
        name: str,
        ask: Ask,
        asked: str,
        said: bytes,
        expect: Mapping[str, Any],
        *,
        status: int = 200,
        beside: Sequence[Recording] = (),
        **headers: str,
    ) -> Vector:
        """One that nobody recorded, such as the documentation of a server shows it.

        Args:
            name: For reports.
            ask: What is asked of ``Runtime``.
            asked: Method and path of the request, such as ``POST /v1/moderations``.
            said: The body of the answer.
            expect: What is to come of it.
            status: The answer's status.
            beside: Further exchanges that the question takes.
            headers: The answer's headers; ``_`` stands for ``-``.
        """
        lines = [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]
        head = [f"HTTP/1.1 {status} By hand", f"content-length: {len(said)}", *lines, "", ""]
        sent = json.dumps({"stream": ask.streamed})
        exchange = Recording(
            scenario=name,
            request=f"{asked} HTTP/1.1\r\n\r\n{sent}".encode(),
            reads=("\r\n".join(head).encode("latin-1") + said,),
        )
        return cls(name=name, ask=ask, recording=exchange, expect=expect, beside=beside)

    @classmethod
    def load(cls, path: Path) -> Vector:
        """Read a vector's JSON file; what is wrong with it is a ``ConfigError``."""
        try:
            data = json.loads(path.read_text("utf-8"))
            return cls(
                name=path.stem,
                ask=_ask(data["ask"], path.parent),
                recording=Recording.load(path),
                expect=data["expect"],
                beside=[Recording.load(path.parent / name) for name in data.get("beside", ())],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{path} is no vector: {type(error).__name__}: {error.args[0]}",
                hint='It needs "ask", "request", "response" and "expect"; see docs/kit.md.',
            ) from error

    @property
    def recordings(self) -> Sequence[Recording]:
        """All exchanges, in the order in which they were made: its own came last."""
        return (*self.beside, self.recording)

    def answered_with(self, body: bytes) -> Vector:
        """The same question, to which the server says something else with the same status."""
        kept = {**self.recording.headers, "content-length": "", "transfer-encoding": ""}
        lines = [f"{name}: {value}" for name, value in kept.items() if value]
        status = f"HTTP/1.1 {self.recording.status} Changed"
        head = "\r\n".join([status, f"content-length: {len(body)}", *lines, "", ""])
        said = head.encode("latin-1") + body
        return attrs.evolve(self, recording=attrs.evolve(self.recording, reads=(said,)))

    def __str__(self) -> str:
        return f"the vector {self.name}: {self.ask}"

    @property
    def kind(self) -> str:
        """``answers``, ``streams``, ``refusals``, or ``overflows`` (of a context)."""
        if "error" in self.expect:
            return "overflows" if self.expect["error"] == "ContextOverflow" else "refusals"
        return "streams" if self.ask.streamed else "answers"

    @property
    def kinds(self) -> frozenset[str]:
        """Its kind, ``all``, and ``decoded`` where the answer has a status below 300."""
        decoded = {"decoded"} if self.recording.status < 300 else set()
        return frozenset({self.kind, "all", *decoded})


def _ask(data: Mapping[str, Any], folder: Path) -> Ask:
    known: dict[str, Any] = dict(data)
    if "args" in known:
        known["args"] = [folder / a["file"] if isinstance(a, dict) else a for a in known["args"]]
    return Ask(**known)


def load_vectors(folder: Path) -> Iterator[Vector]:
    """The vectors of a folder, the smallest first, so that the first to fail is the smallest.

    A file without ``ask`` is a recording that vectors name in ``beside``.
    """
    paths = [path for path in folder.glob("*.json") if '"ask"' in path.read_text("utf-8")]
    found = map(Vector.load, paths)
    yield from sorted(found, key=lambda vector: (len(vector.recording.response), vector.name))
