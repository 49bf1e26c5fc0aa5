"""The rules of a lifecycle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar

from multitap.capabilities.catalog import Model
from multitap.capabilities.lifecycle import Progress, Slot
from multitap.errors import BackendError, ConfigError, NotSupported
from multitap.testing.finding import Finding
from multitap.testing.kit.facts import assert_says
from multitap.testing.kit.playing import Question, Said
from multitap.testing.kit.rule import rule
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.unknown import NOT_FOUND
from multitap.testing.kit.vector import Ask, Vector
from multitap.testing.kit.wire import Kind, answer_rules, answered, shown
from multitap.testing.worlds import Blocking

__all__ = ("LifecycleSuite",)

VERBS = (
    Ask(verb="pull", args=("model",)),
    Ask(verb="load", args=("model",)),
    Ask(verb="unload", args=("model",)),
    Ask(verb="running", args=()),
    Ask(verb="copy", args=("model", "other")),
    Ask(verb="delete", args=("model",)),
    Ask(verb="create", args=("model",), options={"source": "other"}),
    Ask(verb="slots", args=()),
    Ask(verb="save_slot", args=(0, "name")),
    Ask(verb="restore_slot", args=(0, "name")),
    Ask(verb="erase_slot", args=(0,)),
)


def facts_of_progress(items: Sequence[Any]) -> Mapping[str, Any]:
    """What was done, step by step; or which models are in memory; or what the slots hold."""
    steps = [item for item in items if isinstance(item, Progress)]
    return {
        "statuses": list(dict.fromkeys(step.status for step in steps)),
        "steps": [[s.completed, s.total] for s in steps if s.completed is not None],
        "ids": [item.id for item in items if isinstance(item, Model)],
        "slots": [item.to_dict() for item in items if isinstance(item, Slot)],
    }


KIND = Kind(
    capability="lifecycle",
    results=(Progress, Model, Slot),
    facts=facts_of_progress,
    own=frozenset({"steps"}),
)


@answer_rules(KIND)
class LifecycleSuite(Suite):
    """What a plugin that manages models promises.

    Attributes:
        lifecycle_questions: What one that works in this process is asked.
    """

    capability: ClassVar[str] = "lifecycle"
    lifecycle_questions: ClassVar[Sequence[Ask]] = (
        Ask(verb="load", args=("model",)),
        Ask(verb="unload", args=("model",)),
    )

    def describe_lifecycle(self, lifecycle: Any) -> Any:
        """The work of a plain question; a verb that the server lacks is none."""
        with suppress(NotSupported):
            return lifecycle.load("model")
        return None

    @rule(
        "lifecycle/verbs",
        "Each verb does what it says, or is NotSupported by a backend that is named.",
        mend="Raise NotSupported in a verb that the server lacks; leave out the optional ones.",
    )
    def test_lifecycle_verbs(self) -> None:
        for ask in VERBS:
            try:
                question = Question(self.subject(), ask)
                error = question.play(lambda call: Said.of(404, NOT_FOUND)).failure
            except ConfigError:
                continue
            except Finding as finding:
                finding.smallest = f"rt.{ask.verb}({', '.join(ask.args)})"
                raise
            if isinstance(error, NotSupported) and not error.backend and question.call is error:
                raise Finding(shown(error), expected="its backend's name", smallest=ask.verb)

    @rule(
        "lifecycle/progress",
        "Progress never goes back, and never over the whole.",
        mend="Give bytes of one file or layer under its `digest`; leave None what is not known.",
        vectors="answers streams",
    )
    def test_lifecycle_progress(self, vector: Vector) -> None:
        items = answered(self, vector)
        assert_goes_on([item for item in items if isinstance(item, Progress)], vector)
        if "steps" in vector.expect:
            assert_says(facts_of_progress(items), {"steps": vector.expect["steps"]}, vector)

    @rule(
        "lifecycle/unload",
        "To unload what is not loaded is no error.",
        mend="Look first, or take the server's refusal for what was wanted.",
        vectors="answers",
    )
    def test_lifecycle_unload(self, vector: Vector) -> None:
        if vector.ask.verb != "unload":
            return
        with self.answering(Blocking, vector) as (here, _):
            for time in ("first", "second"):
                try:
                    here.call("unload", *vector.ask.args, **vector.ask.options)
                except BackendError as error:
                    smallest = f"{vector}, asked a {time} time"
                    raise Finding(shown(error), expected="no error", smallest=smallest) from error

    @rule(
        "lifecycle/slots",
        "Every slot has a number of its own, and holds what fits into it.",
        mend="Give the server's own numbers; leave None what it does not tell.",
        vectors="answers",
    )
    def test_lifecycle_slots(self, vector: Vector) -> None:
        slots = [item for item in answered(self, vector) if isinstance(item, Slot)]
        numbers = [slot.id for slot in slots]
        full = [s for s in slots if (s.tokens or 0) > (s.context_length or math.inf)]
        if len(set(numbers)) < len(numbers):
            raise Finding(numbers, expected="numbers of their own", smallest=vector)
        if full:
            expected = f"up to {full[0].context_length} tokens"
            raise Finding(full[0].to_dict(), expected=expected, smallest=vector)


def assert_goes_on(steps: Sequence[Progress], smallest: object) -> None:
    """A ``Finding`` shows the step that goes back, or beyond its whole."""
    reached: dict[str | None, int] = {}
    for step in steps:
        done, total = step.completed, step.total
        if done is None:
            continue
        before = reached.get(step.digest or step.status, 0)
        if done < before or (total is not None and done > total):
            expected = f"from {before} on, up to {total}"
            raise Finding(step.to_dict(), expected=expected, smallest=smallest)
        reached[step.digest or step.status] = done
