r"""The law of every stage, as a check: however the input is cut, the outputs are the same.

>>> from multitap.framing import NdjsonDecoder
>>> decoder = lambda: NdjsonDecoder(dict, lambda line: [line["word"]])
>>> assert_chunking_invariant(decoder, b'{"word": "one"}\n{"word": "two"}\n')
['one', 'two']
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from difflib import ndiff
from typing import Any, TypeVar, overload

from multitap.events import Event, Failed, Reasoning, Stop, Text, ToolCallChunk, normalise
from multitap.testing.cuts import cuts_of, pieces_of
from multitap.work import Stage

__all__ = ("assert_chunking_invariant", "assert_truncation_is_seen", "outputs_of")

T = TypeVar("T")
In = TypeVar("In")


def outputs_of(stage: Stage[In, T], pieces: Sequence[In]) -> list[T | Failed]:
    """What a fresh stage makes of these pieces."""
    outputs: list[T | Failed] = []
    for piece in pieces:
        outputs += stage.feed(piece)
    return [*outputs, *stage.finish()]


@overload
def assert_chunking_invariant(
    make: Callable[[], Stage[bytes, T]], data: bytes, *, seed: int = 0
) -> list[T | Failed]: ...
@overload
def assert_chunking_invariant(
    make: Callable[[], Stage[Sequence[Event], Event]], data: Sequence[Event], *, seed: int = 0
) -> list[Event]: ...
def assert_chunking_invariant(make: Any, data: Any, *, seed: int = 0) -> list[Any]:
    """Feed a stage its input whole, cut at every place and piece by piece; give its outputs.

    An ``AssertionError`` says at which cut they differ, and how. It is one as well that a stage
    raises, or goes on after ``Failed``: failure is in band, and last. Of a filter, whose input are
    events, the texts are cut as well.

    Args:
        make: Makes a fresh stage.
        data: All of its input: bytes, or a list of events.
        seed: For the choice of cuts of a large input; see ``cuts_of``.
    """
    whole = _outputs(make, [data], "whole")
    if any(isinstance(each, Failed) for each in whole[:-1]):
        raise AssertionError(f"The stage goes on after it has failed: {whole}")
    for words, pieces in _ways(data, seed):
        _same(_outputs(make, pieces, words), whole, words)
    return whole


def assert_truncation_is_seen(
    make: Callable[[], Stage[bytes, Event]], data: bytes, *, seed: int = 0
) -> None:
    """Feed a chat decoder every beginning of its input: none may look like a whole answer.

    What has a ``Stop`` has to say all that the whole says; else the stage ends with ``Failed``, or
    without a terminal event. The whole itself has to have its ``Stop``.

    Args:
        make: Makes a fresh decoder.
        data: A whole answer.
        seed: For the choice of beginnings of a large one; see ``cuts_of``.
    """
    whole = _outputs(make, [data], "whole")
    if not any(isinstance(each, Stop) for each in whole):
        raise AssertionError(f"The whole answer has no end: {_shown(whole)}")
    for at in sorted({0, *(cuts[0] for cuts in cuts_of(len(data), seed=seed))}):
        words = f"only the first {at} bytes, up to {data[max(0, at - 40) : at]!r}"
        found = _outputs(make, [data[:at]], words)
        if any(isinstance(each, Stop) for each in found):
            _same(_said(found), _said(whole), words)


def _said(events: list[Event]) -> list[Event]:
    return [event for event in events if event.semantic]


def _ways(data: Any, seed: int) -> Iterator[tuple[str, list[Any]]]:
    for cuts in cuts_of(len(data), seed=seed):
        yield f"cut {_places(data, cuts)}", pieces_of(data, cuts)
    single = pieces_of(data, range(1, len(data)))
    yield "one by one", single
    yield "one by one, with nothing in between", [p for piece in single for p in (piece, data[:0])]
    if not isinstance(data, bytes):
        yield "text by character", [[piece] for event in data for piece in _letters(event)]


def _letters(event: Event) -> list[Event]:
    """An event in the smallest pieces that a backend could have sent."""
    from attrs import evolve

    if isinstance(event, Text) and event.logprobs is None:
        return [evolve(event, content=letter) for letter in event.content]
    if isinstance(event, Reasoning):
        return [evolve(event, reasoning_content=each) for each in event.reasoning_content]
    if isinstance(event, ToolCallChunk):
        text = event.tool_call_arguments_chunk
        return [evolve(event, tool_call_arguments_chunk=letter) for letter in text]
    return [event]


def _places(data: Any, cuts: Sequence[int]) -> str:
    if len(cuts) > 1 or not isinstance(data, bytes):
        return f"at {list(cuts)}"
    at = cuts[0]
    return f"at {at}, between {data[max(0, at - 20) : at]!r} and {data[at : at + 20]!r}"


def _outputs(make: Any, pieces: Sequence[Any], words: str) -> list[Any]:
    try:
        return normalise(outputs_of(make(), pieces))
    except Exception as error:
        name = type(error).__name__
        message = f"Fed {words}, the stage raises {name}: {error}. A stage never does; it fails in"
        raise AssertionError(f"{message} band, with Failed(error) as its last output.") from error


def _same(found: list[Any], expected: list[Any], words: str) -> None:
    if found == expected:
        return
    shown, wanted = _shown(found), _shown(expected)
    if shown != wanted:
        short, meant = _in_short(found), _in_short(expected)
        rows = ndiff(wanted, shown) if short == meant else ndiff(meant, short)
        lines = "\n".join(line for line in rows if line[0] != "?")
        raise AssertionError(
            f"Fed {words}, the outputs (+) are not those of the whole (-):\n{lines}"
        )


def _in_short(outputs: list[Any]) -> list[str]:
    """For people: of a failure only what it is and says."""
    return [
        f"Failed({o.error!r})" if isinstance(o, Failed) else text
        for o, text in zip(outputs, _shown(outputs), strict=True)
    ]


def _shown(outputs: list[Any]) -> list[str]:
    """As texts, so that errors (which are equal to themselves alone) can be compared."""
    return [repr(o.to_dict() if hasattr(o, "to_dict") else o) for o in outputs]
