"""``multitap bench``: how long models take for an answer, and how fast its tokens come."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from math import ceil
from statistics import median
from typing import TYPE_CHECKING, Any

import attrs
import click

from multitap.cli.meter import as_bytes
from multitap.cli.options import Command, calling_options, json_option, option
from multitap.cli.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from multitap.cli.invocation import Invocation
    from multitap.engine.sync import ChatStream
    from multitap.runtime import Runtime

__all__ = ("Timing", "bench", "percentile", "summary", "timed")

_EXAMPLES = """\b
Examples:
  multitap bench ollama:llama3.2
  multitap bench ollama:llama3.2 vllm:phi3 --rounds 20 --json
"""
_PROMPT = "Tell me a long story about a lighthouse."
_HEADINGS = ("MODEL", "P50", "P95", "FIRST P50", "FIRST P95", "TOKENS", "TOKENS/S")


@attrs.frozen
class Timing:
    """One answer: seconds until its first piece and until its end, and its tokens if known."""

    first: float
    whole: float
    tokens: int | None

    @property
    def rate(self) -> float | None:
        """Tokens a second once the first is there; ``None`` where there is no telling."""
        if self.tokens is None or self.tokens < 2 or self.whole <= self.first:
            return None
        return (self.tokens - 1) / (self.whole - self.first)


def timed(stream: ChatStream, clock: Callable[[], float] = time.perf_counter) -> Timing:
    """Read an answer to its end."""
    start = clock()
    first: float | None = None
    with stream as events:
        for event in events:
            if first is None and event.semantic:
                first = clock() - start
    whole = clock() - start
    return Timing(whole if first is None else first, whole, events.answer.usage.output_tokens)


def percentile(values: Sequence[float], percent: int) -> float:
    """The least value that so many percent of the values do not exceed.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 50), percentile([4.0, 1.0, 3.0, 2.0], 95)
    (2.0, 4.0)
    """
    return sorted(values)[max(0, ceil(percent / 100 * len(values)) - 1)]


def summary(timings: Sequence[Timing]) -> dict[str, Any]:
    """What ``--json`` says of a model: seconds, tokens of all answers, and the median rate."""
    rates = [timing.rate for timing in timings if timing.rate is not None]
    counts = [timing.tokens for timing in timings if timing.tokens is not None]
    return {
        "latency": _percentiles([timing.whole for timing in timings]),
        "first_token": _percentiles([timing.first for timing in timings]),
        "output_tokens": sum(counts) if counts else None,
        "tokens_per_second": median(rates) if rates else None,
    }


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    return {f"p{percent}": percentile(values, percent) for percent in (50, 95)}


def peak_memory() -> int | None:
    """The most bytes of memory that this process has had; ``None`` where nothing tells."""
    if find_spec("resource") is None:  # on Windows
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@click.command(cls=Command, epilog=_EXAMPLES, short_help="Measure how fast models answer.")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@calling_options
@option("--timeout", type=float, metavar="SECONDS", group="Model", help="For each answer.")
@option(
    "--rounds",
    type=click.IntRange(min=1),
    default=10,
    metavar="N",
    group="Answer",
    help="Answers of each model; 10 without it.",
)
@option(
    "--max-tokens",
    type=click.IntRange(min=1),
    default=256,
    metavar="N",
    group="Answer",
    help="Most tokens of each; 256 without it.",
)
@option("--prompt", metavar="TEXT", default=_PROMPT, group="Answer", help="What to ask.")
@json_option
@click.pass_obj
def bench(
    invocation: Invocation,
    /,
    models: Sequence[str],
    llm: Sequence[str],
    config: str | None,
    rounds: int,
    prompt: str,
    **options: Any,
) -> None:
    """Measure how fast each MODEL answers, one round after another; without MODEL, the default one.

    A first answer of each, which loads the model, is not counted.
    """
    with invocation.runtime(config, llm) as runtime:
        names = [runtime.resolve(model).ref for model in models or (None,)]
        ask = _asking(runtime, prompt, options)
        found: dict[str, list[Timing]] = {name: [] for name in names}
        for number in range(rounds + 1):
            invocation.output.status(f"round {number} of {rounds}" if number else "warming up")
            for name, timings in found.items():
                timing = ask(name)
                if number:
                    timings.append(timing)
    _show(invocation, {name: summary(timings) for name, timings in found.items()})


def _asking(runtime: Runtime, prompt: str, options: Mapping[str, Any]) -> Callable[[str], Timing]:
    return lambda model: timed(runtime.stream(prompt, model=model, **options))


def _show(invocation: Invocation, summaries: Mapping[str, Mapping[str, Any]]) -> None:
    memory = peak_memory()
    if invocation.form == "json":
        models = [{"model": name, **facts} for name, facts in summaries.items()]
        invocation.output.json({"models": models, "memory": memory})
        return
    print_table(invocation.output, _HEADINGS, [_row(name, s) for name, s in summaries.items()])
    if memory is not None:
        invocation.output.note(f"this process had at most {as_bytes(memory)} of memory.")


def _row(name: str, facts: Mapping[str, Any]) -> tuple[str, ...]:
    times = [facts[key][p] for key in ("latency", "first_token") for p in ("p50", "p95")]
    tokens, rate = facts["output_tokens"], facts["tokens_per_second"]
    shown = ("" if tokens is None else str(tokens), "" if rate is None else f"{rate:,.1f}")
    return name, *(f"{seconds * 1e3:,.1f} ms" for seconds in times), *shown
