"""Answers of a model, made of arbitrary bytes, and how a filter reads them."""

from __future__ import annotations

import random

from fuzz.inputs import letters, shown

from multitap.errors import EngineError
from multitap.events import Failed, Loading, Reasoning, Stop, Text, Usage, UsageReport, normalise
from multitap.testing import broken_rules, outputs_of

ENDS = (
    (UsageReport(Usage.reported(1, 2)), Stop("complete", 1), Stop("complete")),
    (Stop("max_tokens", 1), Stop("stop_sequence")),
    (Failed(EngineError("It broke")),),
)


def answer_of(data):
    """The events: a NUL parts two of them, and what follows it chooses the kind."""
    end, text = data[:1], data[1:].decode("utf-8", "replace")
    first, *others = text.split("\0")
    events = [Text(first)] if first else []
    events += [event_of(ord(part[:1]), part[1:]) for part in others if part[1:]]
    spoken = [Text("b", 1)] if end != b"\2" else []
    return [*events, *spoken, *ENDS[sum(end) % len(ENDS)]]


def event_of(kind, text):
    if kind % 8 < 4:
        return Text(text)
    if kind % 8 < 6:
        return Text(text, 1)
    return Reasoning(text) if kind % 8 == 6 else Loading(0.5)


def filtered(make, events, seed):
    """What a filter gives, which is the same however texts and batches are cut."""
    whole = normalise(outputs_of(make(), [events]))
    single = list(letters(events))
    for batches in ([[event] for event in single], list(batched(single, random.Random(seed)))):
        assert shown(normalise(outputs_of(make(), batches))) == shown(whole)
    assert broken_rules(whole) == []
    return whole


def batched(events, chance):
    """Neighbouring letters as texts of any length, in batches of any size."""
    while events:
        size = chance.randint(1, 9)
        yield normalise(events[:size]) if chance.random() < 0.7 else events[:size]
        events = events[size:]


def said(events, choice=0):
    """All that a choice says, thoughts included, in its order."""
    return "".join(
        event.content if isinstance(event, Text) else event.reasoning_content
        for event in events
        if isinstance(event, (Text, Reasoning)) and event.choice == choice
    )


def is_within(part, whole):
    """Do these characters stand in that text, in this order?"""
    rest = iter(whole)
    return all(letter in rest for letter in part)
