"""Ask a real server, and keep what was said as a vector of the kit.

    python -m multitap.testing.record acme:a1 tests/vectors/hello.json "Say hello."

The backend is the one of ``llm.toml``; its key is used, and starred in what is kept. ``expect`` is
what the plugin makes of the answer today: it is printed, to be read and put right by hand.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from multitap.config import load_config
from multitap.errors import BackendError, ConfigError, MultitapError
from multitap.registry import Registry
from multitap.runtime import Runtime
from multitap.testing.kit.calls import ask_runtime, items_of
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


def record(model: str, ask: Ask, registry: Registry | None = None) -> Sequence[Mapping[str, Any]]:
    """Ask, and give the JSON forms of the vector and of the exchanges beside it.

    Args:
        model: A model reference with its backend, such as ``acme:a1``.
        ask: The verb, and what it is called with.
        registry: Where the plugin is found; ``None``: what is installed.

    Raises:
        MultitapError: What is wrong before anything is sent.
    """
    with Runtime(registry=registry) as rt:
        target = rt.resolve(model)
        real = next(each for each in rt.backends() if each.id == target.backend)
    if not real.endpoint:
        raise ConfigError(
            f"{real.id} works in this process, so there is nothing to record",
            hint="Name a backend with an endpoint.",
        )
    with Recorder(real.endpoint) as recorder:
        words = [f"{real.id}.endpoint={recorder.endpoint}", f"model={target.ref}"]
        with Blocking(load_config(overrides=words), registry) as world:
            expect = _facts(world, real.id, ask)
        recorder.wait_until(lambda: len(recorder.recordings) == len(recorder.requests))
    if not recorder.recordings:
        raise ConfigError(f"{real.endpoint} was not asked: {expect.get('message')}")
    *beside, own = [each.to_dict() for each in recorder.recordings]
    asked = {"verb": ask.verb, "args": list(ask.args), "options": dict(ask.options)}
    return [{**own, "ask": asked, "expect": expect}, *beside]


def _facts(world: Blocking, backend: str, ask: Ask) -> Mapping[str, Any]:
    """What came of it, or the error."""
    try:
        if ask.verb == "stream":
            return facts_of_answer(world.stream(*ask.args, **ask.options)[1].answer)
        result = ask_runtime(world, backend, ask)
    except BackendError as error:
        return {"error": type(error).__name__, "kind": error.kind}
    if ask.verb == "chat":
        return facts_of_answer(result)
    return FACTS[ask.capability](result if ask.streamed else items_of(result))


# ---- as a command --------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; its exit code."""
    given = _parser().parse_args(argv)
    try:
        ask = Ask(given.verb, [_value(w) for w in given.words], dict(map(_option, given.option)))
        vector, *beside = record(given.model, ask)
        names = [f"{given.file.stem}.{n}.json" for n, _ in enumerate(beside, 1)]
        for name, exchange in zip(names, beside, strict=True):
            _write(given.file.with_name(name), exchange)
        _write(given.file, {**vector, **({"beside": names} if names else {})})
    except (MultitapError, OSError) as error:
        sys.stderr.write(f"record: {error}\n")
        return 2
    sys.stdout.write(json.dumps(vector["expect"], indent=1, ensure_ascii=False) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m multitap.testing.record",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="a model reference with its backend, such as acme:a1")
    parser.add_argument("file", type=Path, help="where to put the vector")
    parser.add_argument("words", nargs="*", help="what the verb is called with: texts, or JSON")
    parser.add_argument("--verb", default="stream", choices=sorted(CAPABILITY_OF))
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="such as max_tokens=8"
    )
    return parser


def _option(word: str) -> tuple[str, Any]:
    name, _, value = word.partition("=")
    return name, _value(value, plain=False)


def _value(word: str, plain: bool = True) -> Any:
    """A text, or what it says in JSON: of plain words only lists and objects are meant so."""
    try:
        return json.loads(word) if not plain or word[:1] in ("[", "{") else word
    except ValueError:
        return word


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
