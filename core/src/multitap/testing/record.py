"""Ask a real server, and keep what was said as a vector of the kit.

    python -m multitap.testing.record acme:a1 tests/vectors/hello.json "Say hello."

The backend is the one of ``llm.toml``, its plugin that of the project which the working directory
is in, or else the installed one. Its key is used, and starred in what is kept. ``expect`` is
what the plugin makes of the answer today: it is printed, to be read and put right by hand.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from multitap.config import Config, load_config
from multitap.errors import BackendError, ConfigError, MultitapError, Timeout
from multitap.policy.retry import RetryPolicy
from multitap.registry import Registry
from multitap.runtime import Runtime
from multitap.testing.kit.calls import OF_A_BACKEND, ask_runtime, items_of
from multitap.testing.kit.catalog import facts_of_models
from multitap.testing.kit.embedding import facts_of_embeddings
from multitap.testing.kit.facts import facts_of_answer
from multitap.testing.kit.image import facts_of_pictures
from multitap.testing.kit.lifecycle import facts_of_progress
from multitap.testing.kit.moderation import facts_of_judgements
from multitap.testing.kit.provider import facts_of_validation
from multitap.testing.kit.rerank import facts_of_ranking
from multitap.testing.kit.speech import facts_of_sound
from multitap.testing.kit.tokenize import facts_of_tokens
from multitap.testing.kit.transcription import facts_of_transcript
from multitap.testing.kit.vector import CAPABILITY_OF, Ask
from multitap.testing.project import project_of, registry_of
from multitap.testing.recorder import Recorder
from multitap.testing.worlds import Blocking

__all__ = ("main", "record")

FACTS: Mapping[str, Callable[[Sequence[Any]], Mapping[str, Any]]] = {
    "embedding": facts_of_embeddings,
    "rerank": facts_of_ranking,
    "tokenize": facts_of_tokens,
    "transcription": facts_of_transcript,
    "speech": facts_of_sound,
    "moderation": facts_of_judgements,
    "image": facts_of_pictures,
    "catalog": facts_of_models,
    "lifecycle": facts_of_progress,
    "provider": facts_of_validation,
}
NAMED = (*OF_A_BACKEND, "voices")
"""Verbs whose first argument the model reference names."""


def record(model: str, ask: Ask, registry: Registry | None = None) -> Sequence[Mapping[str, Any]]:
    """Ask once, and give the JSON forms of the vector and of the exchanges beside it.

    Args:
        model: A model reference with its backend, such as ``acme:a1``.
        ask: The verb, and what it is called with.
        registry: Where the plugin is found; ``None``: what is installed.

    Raises:
        MultitapError: What is wrong before anything is sent, or where nobody answers.
    """
    _check_words(ask)
    with Runtime(registry=registry) as rt:
        target = rt.resolve(model)
        real = next(each for each in rt.backends() if each.id == target.backend)
    if not real.endpoint:
        raise ConfigError(
            f"{real.id} works in this process, so there is nothing to record",
            hint="Name a backend with an endpoint.",
        )
    recorder = Recorder(real.endpoint)
    with recorder:
        words = [f"{real.id}.endpoint={recorder.endpoint}", f"model={target.ref}"]
        expect = _expected(load_config(overrides=words), registry, real.id, ask, recorder)
    *beside, own = [each.to_dict() for each in recorder.recordings]
    return [{**own, "ask": _asked(ask), "expect": expect}, *beside]


def _check_words(ask: Ask) -> None:
    """Refuse what the verb cannot be called with."""
    known = signature(getattr(Runtime, ask.verb))
    named = ("the model reference",) if ask.verb in NAMED else ()
    try:
        known.bind(None, *named, *ask.args, **ask.options)
    except TypeError as error:
        names = [str(each) for name, each in known.parameters.items() if name != "self"]
        raise ConfigError(
            f"{ask.verb} cannot be asked so: {error}",
            hint=f"It takes {', '.join(names[len(named) :])}; the model is named already.",
        ) from None


def _expected(
    config: Config, registry: Registry | None, backend: str, ask: Ask, recorder: Recorder
) -> Mapping[str, Any]:
    """The facts of what came, or of the error that the server's answer is."""
    with Blocking(config, registry) as world:
        world.rt._parts.traffic.policy = RetryPolicy(attempts=1)
        try:
            facts = _facts(world, backend, ask)
        except BackendError as error:
            silent = isinstance(error, Timeout) and error.status is None
            if silent or recorder.unreachable or not recorder.requests:
                raise
            facts = {"error": type(error).__name__, "kind": error.kind}
    recorder.wait_until(lambda: len(recorder.recordings) == len(recorder.requests))
    return facts


def _facts(world: Blocking, backend: str, ask: Ask) -> Mapping[str, Any]:
    if ask.verb == "stream":
        return facts_of_answer(world.stream(*ask.args, **ask.options)[1].answer)
    result = ask_runtime(world, backend, ask)
    if ask.verb == "chat":
        return facts_of_answer(result)
    return FACTS[ask.capability](result if ask.streamed else items_of(result))


def _asked(ask: Ask) -> Mapping[str, Any]:
    """A question's JSON form; files are named as they lie beside the vector."""
    args = [{"file": arg.name} if isinstance(arg, Path) else arg for arg in ask.args]
    return {"verb": ask.verb, "args": args, "options": dict(ask.options)}


# ---- as a command --------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None, registry: Registry | None = None) -> int:
    """Run one command line; its exit code: 0, or 2 where nothing could be recorded."""
    given = _parser().parse_args(argv)
    try:
        args = [_argument(word, given.file.parent) for word in given.words]
        ask = Ask(given.verb, args, dict(map(_option, given.option)))
        exchanges = record(given.model, ask, registry or _registry_here(given.model))
        _keep(given.file, exchanges)
    except (MultitapError, OSError) as error:
        sys.stderr.write(f"record: {error}\n")
        return 2
    sys.stdout.write(json.dumps(exchanges[0]["expect"], indent=1, ensure_ascii=False) + "\n")
    return 0


def _registry_here(model: str) -> Registry | None:
    """What the project in the working directory declares, where the model's provider is of it."""
    backend = model.partition(":")[0]
    section = load_config(None).sections.get(backend)
    folder = project_of(Path.cwd() / "pyproject.toml", section.provider if section else backend)
    if folder is None:
        return None
    sys.path[:0] = [str(folder / "src"), str(folder)]
    return registry_of(folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m multitap.testing.record",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="a model reference with its backend, such as acme:a1")
    parser.add_argument("file", type=Path, help="where to put the vector")
    parser.add_argument(
        "words",
        nargs="*",
        metavar="word",
        help='what the verb takes: a text, JSON, or {"file": "a.wav"} (beside the vector)',
    )
    parser.add_argument(
        "--verb", default="stream", choices=sorted(CAPABILITY_OF), help="what to ask for"
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="such as max_tokens=8; a value is JSON, or a text",
    )
    return parser


def _argument(word: str, folder: Path) -> Any:
    """A text as it is; only lists and objects are read as JSON."""
    value = _json(word) if word[:1] in ("[", "{") else word
    return folder / value["file"] if isinstance(value, dict) and "file" in value else value


def _option(word: str) -> tuple[str, Any]:
    name, equals, value = word.partition("=")
    if not (name and equals):
        raise ConfigError(f"{word!r} is no option", hint="Write --option NAME=VALUE.")
    return name, _json(value)


def _json(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return word


def _keep(path: Path, exchanges: Sequence[Mapping[str, Any]]) -> None:
    vector, *beside = exchanges
    names = [f"{path.stem}.{n}.json" for n, _ in enumerate(beside, 1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, exchange in zip(names, beside, strict=True):
        _write(path.with_name(name), exchange)
    _write(path, {**vector, "scenario": path.stem, **({"beside": names} if names else {})})


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
