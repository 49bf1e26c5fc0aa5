"""``multitap launch``: a server on this machine, until Ctrl-C."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from multitap.cli.failures import INTERRUPTED
from multitap.cli.options import Command, calling_options, json_option, option
from multitap.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multitap.cli.invocation import Invocation
    from multitap.events import Loading
    from multitap.runtime.launches import Server

__all__ = ("launch",)

_EXAMPLES = """\b
Examples:
  multitap launch vllm:HuggingFaceTB/SmolLM2-360M-Instruct
  multitap launch llamaserver:/models/tiny.gguf --option ctx_size=4096
  multitap launch llamaserver:/models/tiny.gguf --json
"""
_SWITCHES: dict[str, Any] = {"true": True, "false": False}
_SHOWN = 5  # lines of the log, where it ends by itself


@click.command(
    cls=Command, epilog=_EXAMPLES, short_help="Start a server on this machine, until Ctrl-C."
)
@click.argument("model")
@calling_options
@option("--container", metavar="ENGINE", group="Server", help="Run an image: docker or podman.")
@option("--tag", default="latest", group="Server", help="Of the image.")
@option("--pull", default="missing", group="Server", help="Fetch it: missing, never or always.")
@option("--executable", metavar="FILE", group="Server", help="In place of the plugin's own.")
@option("--port", type=int, default=0, group="Server", help="Where it listens; 0: a free one.")
@option("--tool-parser", metavar="NAME", group="Server", help="How the model calls tools.")
@option("--option", multiple=True, metavar="NAME=VALUE", group="Server", help="One more flag.")
@option("--timeout", type=float, metavar="SECONDS", default=480, group="Server", help="To start.")
@json_option
@click.pass_obj
def launch(
    invocation: Invocation,
    /,
    model: str,
    llm: Sequence[str],
    config: str | None,
    option: Sequence[str],
    **wishes: Any,
) -> None:
    """Start a server for MODEL, and end it with Ctrl-C; its address is the one line printed.

    With --json, a line for each step until it is ready, and then one with its address.
    """
    with (
        invocation.runtime(config, llm) as runtime,
        runtime.launch_stream(model, options=_options(option), **wishes) as server,
    ):
        for step in server:
            _show(invocation, step)
        try:
            _show_ready(invocation, server, runtime.resolve(model).backend)
            server.wait()
        except KeyboardInterrupt:  # the end that it is meant to have
            raise click.exceptions.Exit(INTERRUPTED) from None
        said = " | ".join(server.log[-_SHOWN:])
        raise EngineError(f"The server ended by itself: {said}", backend=server.backend)


def _show(invocation: Invocation, step: Loading) -> None:
    if invocation.form == "json":
        invocation.output.json(step.to_dict())
    else:
        invocation.output.note(step.status)


def _show_ready(invocation: Invocation, server: Server, backend: str) -> None:
    """The backend is the one that a configuration can give this endpoint to."""
    if invocation.form == "json":
        facts = {"endpoint": server.url, "backend": backend, "model": server.model}
        invocation.output.json({"type": "ready", **facts})
    else:
        invocation.output.line(server.url)


def _options(words: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise ConfigError(f"--option {word} has no value", hint="Write NAME=VALUE.")
        found[name] = _SWITCHES.get(value, value)
    return found
