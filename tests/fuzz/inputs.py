"""What fuzz targets share: ways to cut an input, and outputs as they are compared."""

from __future__ import annotations

import random
from itertools import pairwise

import attrs

from multitap.errors import BackendError
from multitap.events import Event, Failed, Reasoning, Text, ToolCallChunk, normalise
from multitap.testing import outputs_of

LONGEST_MESSAGE = 2000
"""Characters: whatever a server says, an error shows a short piece of it."""
MOST_PIECES = 400


def ways(data, seed):
    """The data whole, one by one (a large one in more), and cut where the seed chooses."""
    chance = random.Random(seed)
    places = sorted(chance.randint(0, len(data)) for _ in range(chance.randint(1, 8)))
    yield [data]
    size = 1 + len(data) // MOST_PIECES
    yield [data[at : at + size] for at in range(0, len(data), size)]
    yield [data[start:end] for start, end in pairwise([0, *places, len(data)])]


def same_however_cut(make, data, seed):
    """The outputs of a fresh stage, which are the same whatever the pieces."""
    whole, *others = (normalise(outputs_of(make(), pieces)) for pieces in ways(data, seed))
    for other in others:
        assert shown(other) == shown(whole)
    failures = [place for place, output in enumerate(whole) if isinstance(output, Failed)]
    assert failures in ([], [len(whole) - 1])
    for place in failures:
        assert isinstance(whole[place].error, BackendError)
        assert len(str(whole[place].error)) < LONGEST_MESSAGE
    return whole


def shown(outputs):
    """As data, for an error is equal to itself alone."""
    return [output.to_dict() if isinstance(output, Event) else output for output in outputs]


def letters(events):
    """The same events in the smallest pieces that a server could have sent."""
    for event in events:
        name = PIECES.get(type(event))
        if name is None:
            yield event
        else:
            yield from (attrs.evolve(event, **{name: letter}) for letter in getattr(event, name))


PIECES = {
    Text: "content",
    Reasoning: "reasoning_content",
    ToolCallChunk: "tool_call_arguments_chunk",
}
