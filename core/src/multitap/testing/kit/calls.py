"""The call that a question is: what a runtime would hand to its engine, with nothing asked yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from multitap.engine.call import Call
from multitap.runtime.media import MediaCalls
from multitap.testing.kit.subject import Subject
from multitap.testing.kit.vector import Ask
from multitap.testing.worlds import World

__all__ = ("ask_runtime", "call_of", "items_of")

NOWHERE = "http://127.0.0.1:9"

Maker = Callable[..., Call[Any]]

_CALLS: Mapping[str, Callable[[MediaCalls], Maker]] = {
    "chat": lambda p: lambda a, **o: p.chat(a, None, stream=False, **_chat(o)),
    "stream": lambda p: lambda a, **o: p.chat(a, None, stream=True, **_chat(o)),
    "embed": lambda p: lambda a, **o: p.embed(a, None, **o)[1],
    "rerank": lambda p: lambda a, b, **o: p.rerank(a, b, None, **o)[1],
    "tokenize": lambda p: lambda a, special=False: p.tokenize(a, None, special=special),
    "detokenize": lambda p: lambda a: p.detokenize(a, None),
    "transcribe": lambda p: lambda a, **o: p.transcribe(a, None, stream=False, **o),
    "transcribe_stream": lambda p: lambda a, **o: p.transcribe(a, None, stream=True, **o),
    "speak": lambda p: lambda a, **o: p.speak(a, None, stream=False, **o),
    "speak_stream": lambda p: lambda a, **o: p.speak(a, None, stream=True, **o),
    "voices": lambda p: lambda: p.voices(None, None),
    "moderate": lambda p: lambda a: p.moderate(a, None, None)[1],
    "draw": lambda p: lambda a, **o: p.draw(a, None, **o)[1],
    "describe": lambda p: lambda a: p.describe(a, None),
    "pull": lambda p: lambda a: p.pull(a, None),
    "pull_stream": lambda p: lambda a: p.pull(a, None),
    "load": lambda p: lambda a: p.lifecycle("load", a),
    "unload": lambda p: lambda a: p.lifecycle("unload", a),
    "delete": lambda p: lambda a: p.lifecycle("delete", a),
    "copy": lambda p: lambda a, b: p.copy(a, b, None),
    "create": lambda p: lambda a, **o: p.create(a, None, **o),
}
_OF_A_BACKEND = ("models", "running", "validate")


def _chat(options: Mapping[str, Any]) -> dict[str, Any]:
    return {"timeout": None, "strict": False, **options}


def call_of(subject: Subject, ask: Ask) -> Call[Any]:
    """What is to be done for a question; what the plugin refuses at once is raised."""
    options = dict(ask.options)
    if ask.verb not in _OF_A_BACKEND:
        subject = attrs.evolve(subject, model=options.pop("model", subject.model))
    parts = MediaCalls(subject.config_at(NOWHERE), subject.registry)
    if ask.verb == "models":
        return parts.models(subject.provider, None, patient=True)
    if ask.verb == "running":
        return parts.running(subject.provider, None, patient=True)
    if ask.verb == "validate":
        return parts.validate(parts.to_validate(subject.provider, options.get("model")), None)
    return _CALLS[ask.verb](parts)(*ask.args, **options)


def ask_runtime(world: World, provider: str, ask: Ask) -> Any:
    """What the runtime's verb returns; of a stream, the items that it gives."""
    if ask.verb in _OF_A_BACKEND:
        return world.call(ask.verb, provider, **ask.options)
    args = () if ask.verb == "voices" else ask.args
    if ask.verb.endswith("stream"):
        return world.items(ask.verb, *args, **ask.options)[0]
    return world.call(ask.verb, *args, **ask.options)


def items_of(result: Any) -> Sequence[Any]:
    """What a verb returned, as the items that a stage gives.

    >>> items_of("hello"), items_of(None)
    ([TokenText(text='hello')], [])
    """
    from multitap.artifacts import Picture, Sound
    from multitap.capabilities.tokenize import TokenText
    from multitap.events import AudioData, ImageData

    if result is None:
        return []
    if isinstance(result, str):
        return [TokenText(result)]
    if isinstance(result, Sound):
        return [AudioData(result.data, result.mime_type, result.sample_rate)]
    if not isinstance(result, list):
        return [result]
    return [ImageData(e.data, e.mime_type) if isinstance(e, Picture) else e for e in result]
