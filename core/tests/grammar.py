"""The grammar of a stream, read off its events' JSON forms; imports nothing of Multitap."""

from __future__ import annotations


def broken_rules(events):
    """The rules that these events (dicts) break; a good stream breaks none."""
    types = [event["type"] for event in events]
    return [
        rule
        for rule, kept in {
            "a stop is last": types[-1:] == ["stop"] and not events[-1].get("choice"),
            "each choice stops once": _stops_once(events),
            "warnings come first": _warnings_first(types),
            "usage comes once, before the stops": _usage(types),
            "calls begin, go on and end": _calls(events),
            "no piece is empty": all(map(_says_something, events)),
        }.items()
        if not kept
    ]


def _stops_once(events):
    stops = [event.get("choice", 0) for event in events if event["type"] == "stop"]
    spoken = {event.get("choice", 0) for event in events}
    return len(stops) == len(set(stops)) and spoken == set(stops)


def _warnings_first(types):
    rest = [name for name in types if name not in ("loading", "rate_limit")]
    return "warning" not in rest[rest.count("warning") :]


def _usage(types):
    if "usage" not in types:
        return True
    return types.count("usage") == 1 and "stop" not in types[: types.index("usage")]


def _calls(events):
    calls = {}
    for event in events:
        if not event["type"].startswith("tool_call"):
            continue
        place = (event.get("choice", 0), event["tool_call_id"])
        pieces = calls.setdefault(place, [])
        pieces.append(event)
    return all(map(_call, calls.values()))


def _call(pieces):
    kinds = [piece["type"].removeprefix("tool_call_") for piece in pieces]
    text = "".join(piece.get("tool_call_arguments_chunk", "") for piece in pieces)
    shape = kinds == ["start", *["chunk"] * (len(kinds) - 2), "end"]
    return shape and pieces[-1].get("tool_call_arguments_complete", text) == text


def _says_something(event):
    field = {
        "text": "content",
        "reasoning": "reasoning_content",
        "tool_call_chunk": "tool_call_arguments_chunk",
    }.get(event["type"])
    return field is None or event[field] != "" or "logprobs" in event
