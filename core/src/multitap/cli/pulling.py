"""``multitap pull``: bytes, rate and time left, for a person, a log or a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from multitap.cli.clean import one_line
from multitap.cli.meter import Meter, as_bytes, as_seconds
from multitap.cli.options import Command, calling_options, events_option, json_option
from multitap.cli.options import option as add_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multitap.capabilities.lifecycle import Progress
    from multitap.cli.invocation import Invocation
    from multitap.cli.output import Output
    from multitap.engine.sync import Stream

__all__ = ("pull",)

_EXAMPLES = """\b
Examples:
  multitap pull ollama:llama3.2
  multitap pull ollama:llama3.2 --json
"""


class Silence:
    """For programs: nothing beside the result."""

    def __init__(self, output: Output, meter: Meter) -> None:
        self._output = output
        self._meter = meter

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *ending: object) -> None:
        """Nothing was opened."""

    def show(self, step: Progress) -> None:
        """Tell of a step."""


class Events(Silence):
    """Each step as a line of JSON."""

    def show(self, step: Progress) -> None:
        """Print it."""
        self._output.json(step.to_dict())


class Lines(Silence):
    """For a log: a line where something else is done, or another whole percent is."""

    def __init__(self, output: Output, meter: Meter) -> None:
        super().__init__(output, meter)
        self._last: tuple[str, int | None] | None = None

    def show(self, step: Progress) -> None:
        """Write a line, if there is anything new."""
        counted = step.total is not None
        now = (step.status, self._meter.percent if counted else None)
        if now != self._last:
            self._last = now
            said = f": {now[1]} %, {_numbers(self._meter)}" if counted else ""
            self._output.note(f"{step.status}{said}")


class Bar(Silence):
    """For a person at a terminal: one bar, which is gone at the end."""

    def __enter__(self) -> Bar:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        said = TextColumn("{task.description}", markup=False)
        numbers = TextColumn("{task.fields[numbers]}", markup=False)
        self._bar = RichProgress(
            said, BarColumn(), numbers, console=Console(stderr=True), transient=True
        )
        self._task = self._bar.add_task("", total=None, numbers="")
        self._bar.start()
        return self

    def __exit__(self, *ending: object) -> None:
        self._bar.stop()

    def show(self, step: Progress) -> None:
        """Move the bar."""
        self._bar.update(
            self._task,
            description=one_line(step.status),
            completed=self._meter.completed,
            total=self._meter.total or None,
            numbers=_numbers(self._meter) if self._meter.total else "",
        )


def _numbers(meter: Meter) -> str:
    parts = [f"{as_bytes(meter.completed)} of {as_bytes(meter.total)}"]
    if meter.rate is not None and meter.left is not None:
        parts += [f"{as_bytes(meter.rate)}/s", f"{as_seconds(meter.left)} left"]
    return ", ".join(parts)


@click.command(cls=Command, epilog=_EXAMPLES, short_help="Download a model.")
@click.argument("model")
@calling_options
@add_option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    group="Model",
    help="For all of it; without it, a pull lasts for as long as bytes come.",
)
@json_option
@events_option
@click.pass_obj
def pull(
    invocation: Invocation,
    /,
    model: str,
    llm: Sequence[str],
    config: str | None,
    timeout: float | None,
) -> None:
    """Download MODEL to its backend. What is there already is not fetched again.

    Ctrl-C cancels it; pulling again goes on where it stopped.
    """
    meter = Meter()
    with invocation.runtime(config, llm) as runtime:
        reference = runtime.resolve(model).ref
        try:
            with runtime.pull_stream(model, timeout=timeout) as steps:
                _watch(invocation, steps, meter)
        except KeyboardInterrupt:
            invocation.output.note(f"pulling {reference} again goes on where it stopped.")
            raise
    _report(invocation, reference, meter)


def _watch(invocation: Invocation, steps: Stream[Progress], meter: Meter) -> None:
    with _display(invocation)(invocation.output, meter) as display:
        for step in steps:
            meter.add(step)
            display.show(step)
    meter.finish()


def _display(invocation: Invocation) -> type[Silence]:
    if invocation.form == "text":
        return Bar if invocation.output.errors_shown else Lines
    return Events if invocation.form == "events" else Silence


def _report(invocation: Invocation, reference: str, meter: Meter) -> None:
    facts: dict[str, Any] = {
        "model": reference,
        "bytes": meter.total,
        "seconds": round(meter.seconds, 3),
    }
    if invocation.form == "json":
        invocation.output.json(facts)
    elif invocation.form == "text":
        size = f" ({as_bytes(meter.total)})" if meter.total else ""
        invocation.output.line(f"{reference} is pulled{size}")
