"""The grammar of a chat stream, as a check.

Warnings first, or at the end, before usage and the stops; ``start``, any ``chunk`` and ``end`` for
each tool call; usage once, before the stops; each choice stops once; a stop is last; no piece is
empty. A failure may cut it all short.

>>> from multitap.events import Stop, Text
>>> assert_stream_grammar([Text("hi"), Stop("complete")])
>>> broken_rules([Text(""), Stop("complete"), Text("hi")])
['a stop is last', 'no piece is empty']
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from multitap.events import Event

__all__ = ("assert_stream_grammar", "broken_rules")

_ENDS = frozenset({"usage", "stop", "error"})

Shown = Mapping[str, Any]
"""The JSON form of an event."""


def assert_stream_grammar(events: Iterable[Event | Shown]) -> None:
    """An ``AssertionError`` names the rules that a stream breaks, and shows its events.

    Args:
        events: All events of one chat stream, or of a decoder: ``Failed`` may be the last.
    """
    shown = _shown(events)
    broken = broken_rules(shown)
    if broken:
        lines = "\n".join(map(repr, shown))
        raise AssertionError(f"The stream breaks the grammar ({', '.join(broken)}):\n{lines}")


def broken_rules(events: Iterable[Event | Shown]) -> list[str]:
    """The rules that these events (or their JSON forms) break; a good stream breaks none."""
    shown = _shown(events)
    types = [event["type"] for event in shown]
    failed = types[-2:] == ["error", "stop"]
    return [
        rule
        for rule, kept in {
            "a stop is last": types[-1:] == ["stop"] and not shown[-1].get("choice"),
            "each choice stops once": _stops_once(shown, failed),
            "warnings come first, or at the end": _warnings_outside(types),
            "usage comes once, before the stops": _usage(types),
            "calls begin, go on and end": _calls(shown, failed),
            "no piece is empty": all(map(_says_something, shown)),
        }.items()
        if not kept
    ]


def _shown(events: Iterable[Event | Shown]) -> list[Shown]:
    """The JSON forms; there, a failure is followed by its stop."""
    shown = [event if isinstance(event, Mapping) else event.to_dict() for event in events]
    if shown and shown[-1]["type"] == "error":
        shown.append({"type": "stop", "stop_reason": "error"})
    return shown


def _stops_once(events: Sequence[Shown], failed: bool) -> bool:
    if failed:
        events = events[:-2]
    stops = [event.get("choice", 0) for event in events if event["type"] == "stop"]
    spoken = {event.get("choice", 0) for event in events}
    return len(stops) == len(set(stops)) and (failed or spoken == set(stops))


def _warnings_outside(types: Sequence[str]) -> bool:
    """Is none of them between the pieces of the answer, or after its usage or a stop?"""
    told = (name for name in types if name not in ("loading", "rate_limit"))
    runs = [name for name, _ in groupby(told)]
    late = [place for place, name in enumerate(runs) if name == "warning" and place]
    if len(late) != 1:
        return not late
    before, after = runs[: late[0]], runs[late[0] + 1 :]
    return _ENDS.isdisjoint(before) and _ENDS.issuperset(after)


def _usage(types: Sequence[str]) -> bool:
    if "usage" not in types:
        return True
    return types.count("usage") == 1 and "stop" not in types[: types.index("usage")]


def _calls(events: Sequence[Shown], failed: bool) -> bool:
    calls: dict[tuple[int, str], list[Shown]] = {}
    for event in events:
        if event["type"].startswith("tool_call"):
            place = (event.get("choice", 0), event["tool_call_id"])
            calls.setdefault(place, []).append(event)
    return all(_call(pieces, failed) for pieces in calls.values())


def _call(pieces: Sequence[Shown], failed: bool) -> bool:
    kinds = [piece["type"].removeprefix("tool_call_") for piece in pieces]
    if failed and kinds == ["start", *["chunk"] * (len(kinds) - 1)]:
        return True
    text = "".join(piece.get("tool_call_arguments_chunk", "") for piece in pieces)
    shape = kinds == ["start", *["chunk"] * (len(kinds) - 2), "end"]
    return shape and bool(pieces[-1].get("tool_call_arguments_complete", text) == text)


def _says_something(event: Shown) -> bool:
    field = {
        "text": "content",
        "reasoning": "reasoning_content",
        "tool_call_chunk": "tool_call_arguments_chunk",
    }.get(event["type"])
    return field is None or event[field] != "" or "logprobs" in event
