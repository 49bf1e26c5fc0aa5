"""Rules of chat: what becomes of the bytes of an answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

from multitap.errors import BackendError
from multitap.events import Failed, Stop, event_from_dict, normalise
from multitap.testing.chunking import (
    assert_chunking_invariant,
    assert_truncation_is_seen,
    outputs_of,
)
from multitap.testing.cuts import EVERY_UP_TO, pieces_of
from multitap.testing.finding import Finding
from multitap.testing.grammar import broken_rules
from multitap.testing.kit.chat.base import ChatBase
from multitap.testing.kit.facts import USAGE, assert_says, facts_of_answer
from multitap.testing.kit.garbage import garbage_of, records_of, survive
from multitap.testing.kit.rule import Broken, rule
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.vector import Vector
from multitap.testing.worlds import Blocking

__all__ = ("Decoding",)


class Decoding(ChatBase):
    """An answer is read as it was meant, however it comes."""

    @rule(
        "chat/answer",
        "An answer says what the server said, and a count that it did not say is None.",
        mend="Compare the record with the event that is made of it; leave out what is not there.",
        vectors="answers streams",
        wire=True,
    )
    def test_an_answer_says_what_the_server_said(self, vector: Vector) -> None:
        answer = self.folded(self.read(vector))
        assert_says(facts_of_answer(answer), vector.expect, vector)
        zeros = [name for name in USAGE if getattr(answer.usage, name) == 0]
        if zeros and 0 not in _numbers(records_of(vector.recording.body)):
            raise Finding(
                dict.fromkeys(zeros, 0),
                expected=f"None for {', '.join(zeros)}: the server did not say it",
                smallest=vector,
            )

    @rule(
        "chat/cuts",
        "However the bytes of an answer are cut, it is the same.",
        mend="Keep what is no whole record until its end has come; multitap.framing does.",
        vectors="decoded",
        wire=True,
    )
    def test_where_the_bytes_are_cut_makes_no_difference(self, vector: Vector) -> None:
        made, recorded = self.exchange(vector), vector.recording
        _found_in(
            self,
            vector,
            assert_chunking_invariant,
            lambda: made.decoder(recorded.head),
            recorded.body,
        )

    @rule(
        "chat/beginnings",
        "No beginning of an answer is taken for the whole.",
        mend="Give Stop only for the server's own sign that it is done.",
        vectors="answers streams",
        wire=True,
    )
    def test_no_beginning_is_taken_for_the_whole(self, vector: Vector) -> None:
        made, recorded = self.exchange(vector), vector.recording
        _found_in(
            self,
            vector,
            assert_truncation_is_seen,
            lambda: made.decoder(recorded.head),
            recorded.body,
        )
        for line in _line_ends(recorded.body):  # of a long one not every byte was tried
            events = outputs_of(made.decoder(recorded.head), [recorded.body[:line]])
            whole = outputs_of(made.decoder(recorded.head), [recorded.body])
            if any(isinstance(e, Stop) for e in events) and _said(events) != _said(whole):
                raise Finding(
                    _shown(events),
                    expected="no Stop",
                    smallest=f"{vector}, only its first {line} bytes",
                )

    @rule(
        "chat/grammar",
        "Events come in order: warnings, what is said, usage, and one stop for each choice.",
        mend="Collect what the server says too early, and give it in its place: docs/events.md.",
        vectors="decoded",
        live=True,
    )
    def test_events_keep_the_grammar(self, vector: Vector | None) -> None:
        for asked, events in self.said(Blocking, vector):
            broken = broken_rules(events)
            if broken:
                raise Finding(_shown(events), expected=", ".join(broken), smallest=asked)

    @rule(
        "chat/json",
        "Every event survives its JSON form.",
        mend="Give events plain values: text, numbers, lists and dicts that JSON has.",
        vectors="decoded",
        live=True,
    )
    def test_events_survive_their_json_form(self, vector: Vector | None) -> None:
        for asked, events in self.said(Blocking, vector):
            for event in events:
                shown = event.to_dict()
                came = event_from_dict(json.loads(json.dumps(shown)))
                if came.to_dict() != shown or (type(event) is not Failed and came != event):
                    raise Finding(came, expected=event, smallest=asked)

    @rule(
        "chat/fresh",
        "Each attempt has a decoder of its own: two that read at once share nothing.",
        mend="Make all that a decoder remembers in Exchange.decoder, which is called per attempt.",
        vectors="decoded",
        wire=True,
    )
    def test_two_decoders_of_one_exchange_share_nothing(self, vector: Vector) -> None:
        made, recorded = self.exchange(vector), vector.recording
        alone = _shown(outputs_of(made.decoder(recorded.head), [recorded.body]))
        step = max(1, len(recorded.body) // 7)
        cuts = range(step, len(recorded.body), step)
        pieces = pieces_of(recorded.body, cuts)
        first, second = made.decoder(recorded.head), made.decoder(recorded.head)
        one: list[Any] = []
        two: list[Any] = []
        for ahead, behind in zip_longest(pieces, [b"", *pieces], fillvalue=b""):
            one += first.feed(ahead)
            two += second.feed(behind)
        one, two = [*one, *first.finish()], [*two, *second.finish()]
        for found in (one, two):
            if _normal(found) != _normal(outputs_of(made.decoder(recorded.head), [recorded.body])):
                raise Finding(
                    _shown(found), expected=alone, smallest=f"{vector}, read twice at once"
                )

    @rule(
        "chat/garbage",
        "Bytes that make no sense end in a typed failure: nothing is raised, nothing hangs.",
        mend="Declare all fields optional and nullable, check what you use, and raise a "
        "ProtocolError in record, of which multitap.framing makes Failed.",
        vectors="decoded",
        wire=True,
    )
    def test_garbage_ends_in_a_typed_failure(self, vector: Vector) -> None:
        made, recorded = self.exchange(vector), vector.recording
        smaller = [v.recording.body for v in self._before(vector)]
        survive(lambda: made.decoder(recorded.head), garbage_of(recorded.body, smaller), _complaint)

    @classmethod
    def speed(cls) -> Iterator[str]:
        """How long the decoder takes for a token, in a line for the terminal."""
        if streams := cls.streams():
            suite, vector = cls(), streams[-1]
            made, recorded = suite.exchange(vector), vector.recording
            tokens, seconds = _timed(lambda: made.decoder(recorded.head), recorded.body)
            words = f"{seconds / max(1, tokens) * 1e9:,.0f} ns a token"
            yield f"{cls.provider}: {words}, {tokens} tokens in {vector.name}, read at once"

    def _before(self, vector: Vector) -> list[Vector]:
        """The smaller vectors: what they have already shown is not tried again."""
        known = [v for v in self.known_vectors() if "decoded" in v.kinds]
        known = [v for v in known if v.ask.capability == "chat"]
        return known[: known.index(vector)]


def _timed(make: Callable[[], Any], body: bytes) -> tuple[int, float]:
    """How many events of an answer say something, and how long it takes to read it, at best."""
    times, tokens = [], 0
    for _ in range(20):
        decoder = make()
        began = time.perf_counter()
        events = outputs_of(decoder, [body])
        times.append(time.perf_counter() - began)
        tokens = sum(event.semantic for event in events)
    return tokens, min(times)


def _complaint(events: list[Any]) -> str:
    """What is wrong with the events of garbage; empty: nothing."""
    for event in events:
        if not hasattr(event, "to_dict"):
            return f"{event!r} is no event"
        try:
            json.dumps(event.to_dict())
        except (TypeError, ValueError) as error:
            return f"{event!r} has no JSON form: {error}"
    ends = [event for event in events if isinstance(event, Failed)]
    if ends and (events[-1] is not ends[0] or not isinstance(ends[0].error, BackendError)):
        return f"{ends[0]!r} is not the last output, or no BackendError"
    return ""


def _found_in(suite: Suite, vector: Vector, check: Any, *args: Any) -> None:
    """What a check of ``multitap.testing`` finds, as a finding with the vector's name.

    Where a stage raises, and not because of a cut, it is chat/garbage that it breaks.
    """
    try:
        check(*args)
    except AssertionError as found:
        text, finding = str(found), _taken_apart(str(found), vector)
        uncut = check is assert_truncation_is_seen or text.startswith("Fed whole")
        if uncut and ", the stage raises " in text:
            broken: Any = Decoding.test_garbage_ends_in_a_typed_failure
            raise Broken(broken.rule, finding, suite.provider) from None
        raise finding from None


def _taken_apart(text: str, vector: Vector) -> Finding:
    """What was fed, what should have come and what came, out of the words of a check."""
    for mark, expected in (
        (", the outputs (+) are not those of the whole (-):\n", "what the whole gives (-)"),
        (", the stage raises ", "outputs; a failure is the last of them, Failed(error)"),
    ):
        fed, found, came = text.partition(mark)
        if found:
            words = fed.removeprefix("Fed ")
            return Finding(came, expected=expected, smallest=f"{vector}, {words}")
    return Finding(text, smallest=vector)


def _normal(events: list[Any]) -> list[str]:
    """Events in a form in which equal answers are equal."""
    return [repr(event.to_dict()) for event in normalise(events)]


def _said(events: list[Any]) -> list[str]:
    return _normal([event for event in events if event.semantic])


def _shown(events: list[Any]) -> str:
    return "\n".join(repr(event.to_dict()) for event in events)


def _line_ends(body: bytes) -> Iterator[int]:
    """Where lines end in a long answer; some hundreds of them."""
    if len(body) <= EVERY_UP_TO:
        return
    ends = [at + 1 for at, byte in enumerate(body) if byte == 10]
    yield from ends[:: max(1, len(ends) // 256)]


def _numbers(value: Any) -> set[float]:
    if isinstance(value, dict):
        return set().union(*map(_numbers, value.values()))
    if isinstance(value, list):
        return set().union(*map(_numbers, value))
    return {value} if isinstance(value, (int, float)) and not isinstance(value, bool) else set()
