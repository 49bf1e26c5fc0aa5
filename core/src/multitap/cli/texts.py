"""``multitap embed``, ``rerank``, ``tokenize``, ``detokenize`` and ``moderate``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import click

from multitap.cli.inputs import lines_or_piped, piped
from multitap.cli.options import Command, json_option, option, runtime_options
from multitap.cli.tables import print_table
from multitap.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from multitap.capabilities.moderation import Judgement
    from multitap.cli.invocation import Invocation
    from multitap.events import Notice

__all__ = ("detokenize", "embed", "moderate", "rerank", "tokenize")

_EMBED = """\b
Examples:
  multitap embed -m ollama:nomic-embed-text "a cat" "a dog"
  multitap embed -m ollama:nomic-embed-text --json < texts.txt
"""
_RERANK = """\b
Examples:
  multitap rerank -m llamaserver:bge "who purrs?" "a cat" "a dog"
  multitap rerank -m llamaserver:bge "who purrs?" --top-n 3 < documents.txt
"""
_TOKENIZE = """\b
Examples:
  multitap tokenize -m vllm:phi3 "How many tokens is this?"
  multitap tokenize -m vllm:phi3 --json < book.txt
"""
_DETOKENIZE = """\b
Examples:
  multitap detokenize -m vllm:phi3 4438 1784 11460
  multitap detokenize -m vllm:phi3 --json < ids.txt
"""
_MODERATE = """\b
Examples:
  multitap moderate -m openai:omni-moderation-latest "What a fine day"
  multitap moderate -m openai:omni-moderation-latest --json < comments.txt
"""


@click.command(cls=Command, epilog=_EMBED, short_help="Turn texts into vectors.")
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@runtime_options
@option("--dimensions", type=int, metavar="N", group="Model", help="Numbers in a vector.")
@json_option
@click.pass_obj
def embed(
    invocation: Invocation,
    /,
    texts: Sequence[str],
    llm: Sequence[str],
    config: str | None,
    **options: Any,
) -> None:
    """Turn texts into vectors; without TEXT, the lines of standard input.

    Prints the numbers of each text on a line.
    """
    rows = lines_or_piped(texts, "texts")
    with invocation.runtime(config, llm) as runtime:
        found = runtime.embed(rows, **options)
    _tell(found.warnings, invocation)
    if invocation.form == "json":
        vectors = [list(vector) for vector in found.vectors]
        usage = attrs.asdict(found.usage)
        invocation.output.json({"model": found.model, "vectors": vectors, "usage": usage})
        return
    for vector in found.vectors:
        invocation.output.line(" ".join(f"{number:.6g}" for number in vector))


@click.command(cls=Command, epilog=_RERANK, short_help="Order documents by relevance to a query.")
@click.argument("query")
@click.argument("documents", metavar="[DOCUMENT]...", nargs=-1)
@runtime_options
@option("--top-n", type=int, metavar="N", group="Answer", help="Only the best so many.")
@json_option
@click.pass_obj
def rerank(
    invocation: Invocation,
    /,
    query: str,
    documents: Sequence[str],
    llm: Sequence[str],
    config: str | None,
    **options: Any,
) -> None:
    """Order documents by relevance to QUERY; without DOCUMENT, the lines of standard input."""
    rows = lines_or_piped(documents, "documents")
    with invocation.runtime(config, llm) as runtime:
        found = runtime.rerank(query, rows, **options)
    _tell(found.warnings, invocation)
    if invocation.form == "json":
        results = [{**attrs.asdict(r), "document": rows[r.index]} for r in found.results]
        usage = attrs.asdict(found.usage)
        invocation.output.json({"model": found.model, "results": results, "usage": usage})
        return
    lines = [(f"{r.score:.4f}", str(r.index), rows[r.index]) for r in found.results]
    print_table(invocation.output, ("SCORE", "INDEX", "DOCUMENT"), lines)


@click.command(cls=Command, epilog=_TOKENIZE, short_help="Split a text into a model's tokens.")
@click.argument("text", required=False)
@runtime_options
@option("--special", is_flag=True, group="Answer", help="Also the tokens around a text.")
@json_option
@click.pass_obj
def tokenize(
    invocation: Invocation,
    /,
    text: str | None,
    llm: Sequence[str],
    config: str | None,
    **options: Any,
) -> None:
    """Split TEXT into a model's tokens; without TEXT, all of standard input, as it is."""
    whole = piped() if text is None else text
    if not whole:
        raise ConfigError("there is no text", hint="Write it, or pipe it in.")
    with invocation.runtime(config, llm) as runtime:
        found = runtime.tokenize(whole, **options)
    _tell(found.warnings, invocation)
    pieces = None if found.pieces is None else [list(piece) for piece in found.pieces]
    if invocation.form == "json":
        invocation.output.json({"ids": list(found.ids), "pieces": pieces})
    elif found.pieces is None:
        invocation.output.line(" ".join(map(str, found.ids)))
    else:
        texts = [json.dumps(p.decode(errors="replace"), ensure_ascii=False) for p in found.pieces]
        rows = [(str(i), t) for i, t in zip(found.ids, texts, strict=True)]
        print_table(invocation.output, ("ID", "TEXT"), rows)


@click.command(cls=Command, epilog=_DETOKENIZE, short_help="Join a model's tokens to a text.")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@runtime_options
@json_option
@click.pass_obj
def detokenize(
    invocation: Invocation,
    /,
    ids: Sequence[str],
    llm: Sequence[str],
    config: str | None,
    **options: Any,
) -> None:
    """Join a model's tokens to a text; without ID, those of standard input."""
    words = list(ids) or (piped() or "").split()
    numbers = [_number(word) for word in words]
    if not numbers:
        raise ConfigError("there are no ids", hint="Write them, or pipe them in.")
    with invocation.runtime(config, llm) as runtime:
        text = runtime.detokenize(numbers, **options)
    if invocation.form == "json":
        invocation.output.json({"text": text})
    else:
        invocation.output.text(text)
        invocation.output.end()


def _number(word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise ConfigError(f"{word!r} is no id of a token", hint="Ids are whole numbers.")
    return int(word)


@click.command(cls=Command, epilog=_MODERATE, short_help="Judge whether texts may be shown.")
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@runtime_options
@json_option
@click.pass_obj
def moderate(
    invocation: Invocation,
    /,
    texts: Sequence[str],
    llm: Sequence[str],
    config: str | None,
    **options: Any,
) -> None:
    """Judge whether texts may be shown; without TEXT, the lines of standard input.

    Says of each whether it is flagged, and for what; the exit code is 0 either way.
    """
    rows = lines_or_piped(texts, "texts")
    with invocation.runtime(config, llm) as runtime:
        found = runtime.moderate(rows, **options)
    if invocation.form == "json":
        results = [{"text": t, **attrs.asdict(j)} for t, j in zip(rows, found, strict=True)]
        invocation.output.json({"results": results})
        return
    lines = [(_verdict(judged), text) for judged, text in zip(found, rows, strict=True)]
    print_table(invocation.output, ("FLAGGED", "TEXT"), lines)


def _verdict(judged: Judgement) -> str:
    """Why it is flagged, the surest reason first."""
    reasons = [name for name, bad in judged.categories.items() if bad]
    reasons.sort(key=lambda name: -judged.scores.get(name, 0.0))
    return ", ".join(reasons) or "yes" if judged else "no"


def _tell(warnings: Iterable[Notice], invocation: Invocation) -> None:
    """What is not just as it was asked for, beside the output."""
    for notice in warnings:
        invocation.output.note(f"warning: {notice.message}")
