"""``multitap models``, ``capabilities``, ``providers``, ``load`` and ``unload``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import click

from multitap.cli.options import Command, calling_options, json_option, option, settings_options
from multitap.cli.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multitap.capabilities.catalog import Model
    from multitap.cli.invocation import Invocation
    from multitap.manifest import ProviderInfo

__all__ = ("capabilities", "load", "models", "providers", "unload")

_MODELS = """\b
Examples:
  multitap models
  multitap models ollama --json
"""
_CAPABILITIES = """\b
Examples:
  multitap capabilities
  multitap capabilities --json
"""
_PROVIDERS = """\b
Examples:
  multitap providers
  multitap providers --json
"""
_LOAD = """\b
Examples:
  multitap load ollama:llama3.2
  multitap load ollama:llama3.2 --timeout 600
  multitap load vllm:style=/adapters/style
"""
_UNLOAD = """\b
Examples:
  multitap unload ollama:llama3.2
  multitap unload ollama:llama3.2 --json
"""

_timeout_option = option(
    "--timeout", type=float, metavar="SECONDS", group="Model", help="For the whole call."
)


@click.command(cls=Command, epilog=_MODELS, short_help="List the models that the backends have.")
@click.argument("backend", required=False)
@calling_options
@_timeout_option
@json_option
@click.pass_obj
def models(
    invocation: Invocation,
    /,
    backend: str | None,
    llm: Sequence[str],
    config: str | None,
    timeout: float | None,
) -> None:
    """List the models of BACKEND, or of all; of all, one that is down is only a warning."""
    with invocation.runtime(config, llm) as runtime:
        found = runtime.models(backend, timeout=timeout)
    if invocation.form == "json":
        invocation.output.json([model.to_dict() for model in found])
    elif found:
        headings = ("MODEL", "CAPABILITIES", "CONTEXT", "SIZE", "LOADED")
        print_table(invocation.output, headings, [_model_row(model) for model in found])
    else:
        invocation.output.note("no models were found.")
    for model in found:
        if model.problem:
            invocation.output.note(f"warning: {model.ref}: {model.problem}")
    for notice in found.warnings:
        invocation.output.note(f"warning: {notice.message}")


def _model_row(model: Model) -> tuple[str, ...]:
    loaded = {True: "yes", False: "no", None: ""}[model.loaded]
    context = "" if model.context_length is None else str(model.context_length)
    return model.ref, " ".join(sorted(model.capabilities or ())), context, _size(model), loaded


def _size(model: Model) -> str:
    if not model.size:
        return ""
    return f"{model.size / 1e9:.1f} GB" if model.size >= 1e8 else f"{model.size / 1e6:.1f} MB"


@click.command(
    cls=Command,
    epilog=_CAPABILITIES,
    short_help="List who offers what, as installed plugins declare it.",
)
@settings_options
@json_option
@click.pass_obj
def capabilities(invocation: Invocation, /, llm: Sequence[str], config: str | None) -> None:
    """List who offers what, as installed plugins declare it; none of them is imported."""
    with invocation.runtime(config, llm) as runtime:
        rows = runtime.capabilities()
    if invocation.form == "json":
        invocation.output.json([row._asdict() for row in rows])
    elif rows:
        headings = ("CAPABILITY", "PROVIDER", "DISTRIBUTION", "VERSION", "STATE")
        print_table(invocation.output, headings, rows)
    else:
        _tell_no_plugin(invocation)


@click.command(
    cls=Command, epilog=_PROVIDERS, short_help="List installed providers and their settings."
)
@settings_options
@json_option
@click.pass_obj
def providers(invocation: Invocation, /, llm: Sequence[str], config: str | None) -> None:
    """List installed providers, and which settings their sections of llm.toml may have."""
    with invocation.runtime(config, llm) as runtime:
        infos = runtime.providers()
    if invocation.form == "json":
        invocation.output.json([_provider(info) for info in infos])
    elif infos:
        headings = ("PROVIDER", "DISTRIBUTION", "ENDPOINT", "SETTINGS")
        print_table(invocation.output, headings, [_provider_row(info) for info in infos])
    else:
        _tell_no_plugin(invocation)


def _provider(info: ProviderInfo) -> dict[str, Any]:
    facts = attrs.asdict(info, recurse=False)
    facts["key"] = attrs.asdict(info.key)
    facts["capabilities"] = list(info.capabilities)
    for rules in ("settings", "parameters"):
        facts[rules] = [attrs.asdict(rule) for rule in getattr(info, rules).values()]
    return facts


def _provider_row(info: ProviderInfo) -> tuple[str, ...]:
    distribution = f"{info.distribution} {info.version}"
    return info.name, distribution, info.endpoint, " ".join(info.settings)


def _tell_no_plugin(invocation: Invocation) -> None:
    invocation.output.note("no plugin is installed. Run `pip install multitap-ollama`.")


@click.command(cls=Command, epilog=_LOAD, short_help="Bring a model into memory.")
@click.argument("model")
@calling_options
@_timeout_option
@json_option
@click.pass_obj
def load(invocation: Invocation, /, model: str, **options: Any) -> None:
    """Bring MODEL into its backend's memory; done when this returns."""
    _move(invocation, "load", model, **options)


@click.command(cls=Command, epilog=_UNLOAD, short_help="Free a model's memory.")
@click.argument("model")
@calling_options
@_timeout_option
@json_option
@click.pass_obj
def unload(invocation: Invocation, /, model: str, **options: Any) -> None:
    """Free the memory of MODEL; one that is not loaded is no error."""
    _move(invocation, "unload", model, **options)


def _move(
    invocation: Invocation,
    verb: str,
    model: str,
    llm: Sequence[str],
    config: str | None,
    timeout: float | None,
) -> None:
    with invocation.runtime(config, llm) as runtime:
        reference = runtime.resolve(model).ref
        getattr(runtime, verb)(model, timeout=timeout)
    if invocation.form == "json":
        invocation.output.json({"model": reference, "loaded": verb == "load"})
    else:
        print_line = invocation.output.line
        print_line(f"{reference} is {'loaded' if verb == 'load' else 'unloaded'}")
