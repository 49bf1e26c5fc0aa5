"""``multitap config``: the configuration that is in force, and why it is what it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from multitap.cli.clean import one_line
from multitap.cli.effective import effective_values
from multitap.cli.explanation import explain_key, explain_model, key_path
from multitap.cli.options import Command, json_option, settings_options
from multitap.cli.tables import print_table
from multitap.cli.toml import toml_key, toml_value
from multitap.config import config_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from multitap.cli.effective import Value
    from multitap.cli.explanation import KeyExplained, ModelExplained
    from multitap.cli.invocation import Invocation
    from multitap.cli.output import Output
    from multitap.config import Config
    from multitap.manifest import ProviderInfo

__all__ = ("config",)

_CONFIG = """\b
Examples:
  multitap config show
  multitap config explain ollama.endpoint
  multitap config explain fast
"""
_SHOW = """\b
Examples:
  multitap config show
  multitap config show --json
"""
_EXPLAIN = """\b
Examples:
  multitap config explain
  multitap config explain ollama.endpoint
  multitap config explain ollama:llama3.2 --json
"""


@click.group(
    epilog=_CONFIG,
    invoke_without_command=True,
    short_help="Show the configuration, and where each value is from.",
)
@click.pass_context
def config(context: click.Context) -> None:
    """Show the configuration that is in force, or explain a part of it."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@config.command(cls=Command, epilog=_SHOW, short_help="Show every value and where it is from.")
@settings_options
@json_option
@click.pass_obj
def show(invocation: Invocation, /, llm: Sequence[str], config: str | None) -> None:
    """Show every value that is in force, as an llm.toml with where each is from as comments.

    No key is shown: one that is written as it is appears as ***.
    """
    loaded, providers = invocation.known(config, llm)
    values = list(effective_values(loaded, providers))
    if invocation.form == "json":
        invocation.output.json({"values": [value.to_dict() for value in values]})
        return
    for line in _document(values, loaded, providers):
        invocation.output.line(line)


def _document(
    values: Sequence[Value], config: Config, providers: Mapping[str, ProviderInfo]
) -> Iterator[str]:
    """The lines of an ``llm.toml``, its tables apart from each other."""
    table: tuple[str, ...] = ()
    for value in values:
        if value.path[:-1] != table:
            if table:
                yield ""
            table = value.path[:-1]
            yield f"[{'.'.join(map(toml_key, table))}]{_remark(table[0], config, providers)}"
        source = one_line(str(value.source))
        yield f"{toml_key(value.path[-1])} = {toml_value(value.value)}  # {source}"


def _remark(name: str, config: Config, providers: Mapping[str, ProviderInfo]) -> str:
    section = config.sections.get(name)
    if section is None:
        return ""
    if section.provider not in providers:
        return "  # its provider is not installed"
    return f"  # the api_key of {section.withheld} is withheld" if section.withheld else ""


@config.command(
    cls=Command, epilog=_EXPLAIN, short_help="Explain a key, or what a model reference leads to."
)
@click.argument("subject", metavar="[KEY|MODEL]", required=False)
@settings_options
@json_option
@click.pass_obj
def explain(
    invocation: Invocation, /, subject: str | None, llm: Sequence[str], config: str | None
) -> None:
    """Tell which layers set KEY and which one counts, or what MODEL leads to.

    A key is written as section.key; a section alone means all of its keys. With neither, the
    default model is explained, and which files are read.
    """
    loaded, providers = invocation.known(config, llm)
    files = _files(config)
    if subject is None and invocation.form == "text":
        _show_files(files, invocation.output)
    path = key_path(subject.strip(), loaded, providers) if subject else ()
    keys: Sequence[KeyExplained] = ()
    model = None
    if path and subject not in loaded.aliases:
        keys = explain_key(path, loaded, providers)
    else:
        model = explain_model(subject, loaded, providers)
    if invocation.form == "json":
        facts = {"keys": [k.to_dict() for k in keys], "model": model and model.to_dict()}
        invocation.output.json({"files": files, **facts})
        return
    _show_keys(keys, invocation.output)
    if model is not None:
        _show_model(model, invocation.output)


def _files(file: str | None) -> list[dict[str, Any]]:
    """The files that are looked for, the weakest first, and whether they are there."""
    places: Mapping[Path, str] = {Path(file): "file"} if file else config_files()
    return [
        {"file": str(place), "kind": kind, "read": place.is_file()}
        for place, kind in places.items()
    ]


def _show_files(files: Sequence[Mapping[str, Any]], output: Output) -> None:
    rows = [(f["kind"], f["file"], "read" if f["read"] else "is not there") for f in files]
    print_table(output, ("LAYER", "FILE", ""), rows)
    output.line()


def _show_keys(keys: Sequence[KeyExplained], output: Output) -> None:
    for number, explained in enumerate(keys):
        if number:
            output.line()
        output.line(explained.key if explained.layers else f"{explained.key} is not set")
        for layer in explained.layers:
            said = f"{toml_value(layer.value)}  # {layer.source}: {layer.reason}"
            output.line(f"  {layer.state:<10} {one_line(said)}")


def _show_model(model: ModelExplained, output: Output) -> None:
    endpoint = f"{model.endpoint}  # {model.endpoint_source}" if model.endpoint else "none"
    rows = {
        "model": model.ref,
        "how": model.how,
        "provider": f"{model.provider} ({model.distribution})",
        "endpoint": endpoint,
        "carrier": model.carrier or "none: it runs in this process",
        "proxy": f"{model.proxy}  # {model.proxy_source}" if model.proxy else "none",
        "key": model.key,
    }
    for name, text in rows.items():
        output.line(f"{name:<9} {one_line(text)}")
