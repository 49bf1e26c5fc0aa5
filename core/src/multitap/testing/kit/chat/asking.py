"""Rules of chat: which options reach the server, and which do not."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import attrs
import pytest

from multitap.capabilities.chat import ChatRequest
from multitap.errors import MultitapError, NotSupported
from multitap.events import Notice
from multitap.testing.finding import Finding
from multitap.testing.kit.chat.base import ChatBase
from multitap.testing.kit.chat.requests import Sent, added, changed, holds, leaves_of, sent_by
from multitap.testing.kit.replay import replay
from multitap.testing.kit.rule import rule
from multitap.testing.kit.samples import samples_of
from multitap.testing.worlds import Blocking

__all__ = ("OPTIONS", "Asking", "Outcome")

TOOL = {
    "type": "function",
    "function": {
        "name": "kit_weather",
        "description": "kit: how the weather is",
        "parameters": {
            "type": "object",
            "properties": {"kit_city": {"type": "string", "enum": ["kit-oslo", "kit-rome"]}},
            "required": ["kit_city"],
        },
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"kit_answer": {"type": "string", "enum": ["kit-yes", "kit-no"]}},
    "required": ["kit_answer"],
    "additionalProperties": False,
}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "tools": {"tools": [TOOL]},
    "tool_choice": {"tools": [TOOL], "tool_choice": "required"},
    "response_schema": {"response_format": SCHEMA},
    "max_tokens": {"max_tokens": 17},
    "temperature": {"temperature": 0.25},
    "top_p": {"top_p": 0.75},
    "seed": {"seed": 4711},
    "stop": {"stop": ["kit-stop"]},
    "think": {"think": "low"},
    "logprobs": {"logprobs": 2},
    "n": {"n": 2},
    "truncate": {"truncate": True},
    "shift": {"shift": True},
}
"""Each option of a chat, and the arguments that ask for it."""

AS_THEY_ARE = {
    "max_tokens": 17,
    "temperature": 0.25,
    "top_p": 0.75,
    "seed": 4711,
    "stop": "kit-stop",
}
"""Options whose value a server is sent as it is."""

THE_CORES = frozenset({"truncate", "shift"})
"""Options that the core sees to, where the plugin does not declare them.

They are false unless they are asked for, which a server with another default has to be told.
"""


@attrs.frozen
class Outcome:
    """What became of a question: what was sent, what was warned of, and what went wrong."""

    sent: Sent | None
    warnings: tuple[Notice, ...]
    error: MultitapError | None

    @property
    def leaves(self) -> Mapping[str, Any]:
        """The leaves of what was sent."""
        return self.sent.leaves if self.sent else {}

    @property
    def refused(self) -> bool:
        """Was the question itself more than the plugin can send?"""
        return self.sent is None and isinstance(self.error, NotSupported)

    def warned_of(self, option: str) -> bool:
        """Is there a warning of this option?"""
        return any(notice.option == option for notice in self.warnings)

    def __str__(self) -> str:
        warned = [f"{notice.code} of {notice.option}" for notice in self.warnings]
        said = [self.sent.text if self.sent else "nothing was sent"]
        said += [f"warnings: {', '.join(warned) or 'none'}"]
        said += [f"then {type(self.error).__name__}: {self.error}"] if self.error else []
        return "\n".join(said)


Ask = Callable[..., Outcome]


class Asking(ChatBase):
    """Options reach the server, or it is said that they do not.

    Attributes:
        examples: Values for parameters of ``provider.toml`` that take more than their type says.
    """

    examples: ClassVar[Mapping[str, Any]] = {}

    @contextmanager
    def questioning(self) -> Generator[Ask, None, None]:
        """Ask, and see what the server was sent."""
        vector = next(iter(self.streams()), None)
        if vector is None:
            pytest.skip("no vector is a stream of chat")
        with self.answering(Blocking, script=replay([vector])) as (here, server):

            def ask(*args: Any, **options: Any) -> Outcome:
                before = len(server.requests)
                error = stream = None
                args = args or (() if "messages" in options else ("hi",))
                try:
                    _, stream = here.stream(*args, **options)
                except MultitapError as found:
                    error = found
                answer = stream.answer if stream else getattr(error, "partial", None)
                sent = [sent_by(each, self.read_request) for each in server.requests[before:]]
                warnings = answer.warnings if answer else ()
                return Outcome(sent[0] if sent else None, warnings, error)

            yield ask

    @property
    def _declared(self) -> frozenset[str] | None:
        options = getattr(self.subject().built("chat"), "options", None)
        return None if options is None else frozenset(options)

    # ---- the options of every chat ---------------------------------------------------------------

    @rule(
        "chat/options",
        "Every option reaches the server as it was given, or there is a warning that names it.",
        mend="Send it, or leave it out of `options`: the core then warns, and strict=True raises. "
        "Where bodies are no JSON, say with `read_request` what is in one.",
        live=False,
    )
    def test_every_option_is_sent_or_warned_of(self) -> None:
        declared = self._declared
        unknown = sorted((declared or frozenset()) - set(attrs.fields_dict(ChatRequest)))
        if unknown:
            raise Finding(f"options has {', '.join(unknown)}", expected="fields of ChatRequest")
        if self.subject().in_process:
            self._warned_of_in_process(declared)
            return
        with self.questioning() as ask:
            for name in OPTIONS:
                if name not in THE_CORES or name in (declared or ()):
                    self._sent_or_warned(ask, name)

    def _sent_or_warned(self, ask: Ask, name: str) -> None:
        words, plain = _words(OPTIONS[name]), self._without(ask, name)
        found = ask(**OPTIONS[name])
        news = changed(plain.leaves, found.leaves)
        if not news and not found.warned_of(name):
            raise Finding(
                f"the same request as without it, and no warning:\n{found}",
                expected=f"{name} in the request, or a warning of it",
                smallest=words,
            )
        value = AS_THEY_ARE.get(name)
        reached = value is None or holds(value, plain.leaves, found.leaves)
        if news and not reached and not found.warned_of(name):
            raise Finding(news, expected=f"{value!r} in the request", smallest=words)
        if not news:
            strict = ask(**OPTIONS[name], strict=True)
            if not isinstance(strict.error, NotSupported):
                raise Finding(strict, expected="NotSupported", smallest=f"{words}, strict=True")

    def _without(self, ask: Ask, name: str) -> Outcome:
        """The same question without the option, but with what it needs."""
        return ask(tools=[TOOL]) if name == "tool_choice" else ask()

    def _warned_of_in_process(self, declared: frozenset[str] | None) -> None:
        if declared is None:
            return
        with self.answering(Blocking) as (here, _):
            for name, options in OPTIONS.items():
                answer = here.stream("hi", **options)[1].answer
                warned = any(notice.option == name for notice in answer.warnings)
                if warned == (name in declared) and name not in (
                    *THE_CORES,
                    "tools",
                    "tool_choice",
                ):
                    wanted = "no warning: it is declared" if warned else "a warning"
                    raise Finding(answer.warnings, expected=wanted, smallest=_words(options))

    @rule(
        "chat/absent",
        "An option that was not asked for is not sent; 0 that was asked for is.",
        mend="Send what is not None; do not ask whether a value is true, and send no defaults.",
        wire=True,
    )
    def test_what_was_not_asked_for_is_not_sent(self) -> None:
        declared = self._declared
        with self.questioning() as ask:
            plain = ask()
            for name in sorted((declared or frozenset(OPTIONS)) & set(OPTIONS) - THE_CORES):
                before = self._without(ask, name)
                found = ask(**OPTIONS[name])
                self._was_not_there(name, before, found)
            for name in sorted({"temperature", "seed"} & (declared or {"temperature", "seed"})):
                zero = ask(**{name: 0})
                if not holds(0, plain.leaves, zero.leaves) and not zero.warned_of(name):
                    raise Finding(zero, expected="0 in the request", smallest=f"{name}=0")

    def _was_not_there(self, name: str, plain: Outcome, found: Outcome) -> None:
        news = changed(plain.leaves, found.leaves)
        there = {p: plain.leaves[p] for p in news if p in plain.leaves and not _is_said(p, plain)}
        if there and not added(plain.leaves, found.leaves):
            raise Finding(
                f"{there} without it, {dict(news)} with it",
                expected="nothing of it where nobody asked for it",
                smallest=_words(OPTIONS[name]),
            )

    # ---- the options of this provider ------------------------------------------------------------

    @rule(
        "chat/parameters",
        "Every parameter that provider.toml declares makes a difference to the request.",
        mend="Send what extra holds; where only certain values make sense, name one in `examples`.",
        wire=True,
    )
    def test_every_parameter_reaches_the_server(self) -> None:
        rows = self.subject().info.parameters
        own = {
            name: row for name, row in rows.items() if name not in attrs.fields_dict(ChatRequest)
        }
        with self.questioning() as ask:
            plain = ask()
            for name, row in own.items():
                given = [self.examples[name]] if name in self.examples else samples_of(row)
                found = {repr(value): ask(extra={name: value}) for value in given}
                self._makes_a_difference(name, plain, found)

    def _makes_a_difference(self, name: str, plain: Outcome, found: dict[str, Outcome]) -> None:
        for value, outcome in found.items():
            if outcome.sent is None:
                raise Finding(
                    outcome, expected="a request", smallest=f"extra={{{name!r}: {value}}}"
                )
        all_sent = [outcome.leaves for outcome in found.values()]
        same = len(all_sent) > 1 and not changed(all_sent[0], all_sent[1])
        if same or not any(changed(plain.leaves, leaves) for leaves in all_sent):
            raise Finding(
                next(iter(found.values()), "no value is known to ask with"),
                expected="the value in the request",
                smallest=" or ".join(f"extra={{{name!r}: {value}}}" for value in found) or name,
            )

    # ---- schemas ---------------------------------------------------------------------------------

    @rule(
        "chat/schema",
        "The schemas of tools and of the answer's form reach the server whole.",
        mend="Send the schema as it is, or warn of what the server cannot be told.",
        wire=True,
    )
    def test_schemas_reach_the_server(self) -> None:
        declared = self._declared
        with self.questioning() as ask:
            for name, schema in (("tools", TOOL), ("response_schema", SCHEMA)):
                if declared is not None and name not in declared:
                    continue
                found = ask(**OPTIONS[name])
                text = found.sent.text if found.sent else ""
                lost = [word for word in _kits(schema) if word not in text]
                if lost and not found.warned_of(name):
                    raise Finding(
                        found,
                        expected=f"{', '.join(lost)} in the request",
                        smallest=_words(OPTIONS[name]),
                    )


def _kits(schema: Any) -> list[str]:
    """Names and texts of a schema that stand nowhere else."""
    places = [step for place, _ in leaves_of(schema) for step in place.split(".")]
    values = [value for _, value in leaves_of(schema) if isinstance(value, str)]
    return [word for word in dict.fromkeys([*places, *values]) if word.startswith("kit")]


def _is_said(place: str, outcome: Outcome) -> bool:
    """Is it the question itself, to which tools in words are added?"""
    return "hi" in str(outcome.leaves[place])


def _words(options: Mapping[str, Any]) -> str:
    asked = [f"{name}={value!r}" for name, value in options.items()]
    return f"rt.stream('hi', {', '.join(asked)})"
