"""The call that a question is: what a runtime would hand to its engine, with nothing asked yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from multitap.engine.call import Call
from multitap.runtime.batches import Batches
from multitap.runtime.media import MediaCalls
from multitap.testing.kit.subject import NOWHERE, Subject
from multitap.testing.kit.vector import Ask
from multitap.testing.worlds import World

__all__ = ("OF_A_BACKEND", "ask_runtime", "call_of", "items_of")


def _chat(stream: bool) -> Callable[..., Call[Any]]:
    fixed = {"stream": stream, "timeout": None, "strict": False}
    return lambda parts, prompt=None, **asked: parts.chat(prompt, None, **{**fixed, **asked})


def _slot(verb: str) -> Callable[..., Call[Any]]:
    return lambda parts, *which: parts.slot(verb, None, None, *which)


_CALLS: Mapping[str, Callable[..., Call[Any]]] = {
    "chat": _chat(stream=False),
    "stream": _chat(stream=True),
    "embed": lambda parts, texts, **asked: _first(parts.embed(texts, None, **asked)),
    "rerank": lambda parts, query, texts, **asked: parts.rerank(query, texts, None, **asked)[1],
    "tokenize": lambda parts, text, special=False: parts.tokenize(text, None, special=special),
    "detokenize": lambda parts, ids: parts.detokenize(ids, None),
    "transcribe": lambda parts, audio, **asked: parts.transcribe(
        audio, None, stream=False, **asked
    ),
    "transcribe_stream": lambda parts, audio, **asked: parts.transcribe(
        audio, None, stream=True, **asked
    ),
    "speak": lambda parts, text, **asked: parts.speak(text, None, stream=False, **asked),
    "speak_stream": lambda parts, text, **asked: parts.speak(text, None, stream=True, **asked),
    "voices": lambda parts: parts.voices(None, None),
    "moderate": lambda parts, texts: parts.moderate(texts, None, None)[1],
    "draw": lambda parts, prompt, **asked: parts.draw(prompt, None, **asked)[1],
    "describe": lambda parts, model: parts.describe(model, None),
    "pull": lambda parts, model: parts.pull(model, None),
    "pull_stream": lambda parts, model: parts.pull(model, None),
    "load": lambda parts, model: parts.lifecycle("load", model),
    "unload": lambda parts, model: parts.lifecycle("unload", model),
    "delete": lambda parts, model: parts.lifecycle("delete", model),
    "copy": lambda parts, source, name: parts.copy(source, name, None),
    "create": lambda parts, model, **asked: parts.create(model, None, **asked),
    **{verb: _slot(verb) for verb in ("slots", "save_slot", "restore_slot", "erase_slot")},
}
"""Each verb but those that are about a whole backend."""

OF_A_BACKEND = ("models", "running", "validate")
"""They are called with the backend."""


def _first(batches: Batches) -> Call[Any]:
    """The call of the first batch; a question of the kit has no more."""
    return batches.call(next(iter(batches)))


def call_of(subject: Subject, ask: Ask) -> Call[Any]:
    """What is to be done for a question; what the plugin refuses at once is raised."""
    config, options = subject.config_at(NOWHERE), dict(ask.options)
    if ask.verb != "validate" and "model" in options:
        config["defaults"]["model"] = options.pop("model")
    parts = MediaCalls(config, subject.registry)
    if ask.verb == "models":
        return parts.models(subject.provider, None, patient=True)
    if ask.verb == "running":
        return parts.running(subject.provider, None, patient=True)
    if ask.verb == "validate":
        return parts.validate(parts.to_validate(subject.provider, options.get("model")), None)
    return _CALLS[ask.verb](parts, *ask.args, **options)


def ask_runtime(world: World, provider: str, ask: Ask) -> Any:
    """What the runtime's verb returns; of a stream, the items that it gives."""
    if ask.verb in OF_A_BACKEND:
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
