"""``multitap plugins``: installed distributions, what they offer, and why one cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from multitap.cli.clean import one_line
from multitap.cli.doctor.plugins import explain_row, normal_name, offer_of
from multitap.cli.options import Command, json_option, option, settings_options
from multitap.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multitap.cli.doctor.findings import Finding
    from multitap.cli.doctor.installation import Installation
    from multitap.cli.invocation import Invocation
    from multitap.cli.output import Output
    from multitap.registry import Row

__all__ = ("plugins",)

_EXAMPLES = """\b
Examples:
  multitap plugins
  multitap plugins --load --json
  multitap plugins multitap-ollama --traceback
"""
_WORST = ("quarantined", "incompatible", "conflict", "denied", "declared", "loaded")
_BROKEN = {"quarantined", "incompatible", "conflict"}


@click.command(
    cls=Command,
    epilog=_EXAMPLES,
    short_help="List installed plugins, and why one cannot be used.",
)
@click.argument("name", required=False)
@option("--load", is_flag=True, group="Plugins", help="Import them; exit with 3 if one breaks.")
@option("--traceback", is_flag=True, group="Plugins", help="Import them; show where one breaks.")
@settings_options
@json_option
@click.pass_context
def plugins(
    context: click.Context,
    /,
    name: str | None,
    load: bool,
    traceback: bool,
    llm: Sequence[str],
    config: str | None,
) -> None:
    """List installed plugins, or the distribution NAME alone; without --load none is imported."""
    invocation: Invocation = context.obj
    installation = invocation.installation(config, llm)
    for problem in installation.problems:
        invocation.output.note(f"warning: {problem}")
    if load or traceback:
        installation.registry.load()
    found = _distributions(installation, name)
    if invocation.form == "json":
        invocation.output.json([_object(installation, rows) for rows in found.values()])
    else:
        for rows in found.values():
            _show(installation, rows, invocation.output, traceback=traceback)
    if not found:
        invocation.output.note("no plugin is installed. Run `pip install multitap-ollama`.")
    if (load or traceback) and any(row.state in _BROKEN for rows in found.values() for row in rows):
        context.exit(3)


def _distributions(installation: Installation, name: str | None) -> Mapping[str, Sequence[Row]]:
    """The rows of each distribution, or of the one of that name; a provider's name will do."""
    rows: dict[str, list[Row]] = {}
    for row in installation.registry.entries():
        rows.setdefault(row.distribution, []).append(row)
    if name is None:
        return dict(sorted(rows.items()))
    wanted = normal_name(name)
    found = {d: own for d, own in rows.items() if wanted in _names(d, own)}
    if not found:
        known = ", ".join(filter(None, sorted(rows))) or "none"
        raise ConfigError(
            f"no plugin {name!r} is installed", hint=f"Installed are: {known}; see `pip list`."
        )
    return found


def _names(distribution: str, rows: Sequence[Row]) -> set[str]:
    return {normal_name(word) for word in (distribution, *(row.provider for row in rows))}


def _state(rows: Sequence[Row]) -> str:
    """The worst state of a distribution's rows."""
    return min((row.state for row in rows), key=_WORST.index)


def _troubles(installation: Installation, rows: Sequence[Row]) -> list[Finding]:
    found = [explain_row(installation, row) for row in rows]
    return list({finding.message: finding for finding in found if finding}.values())


def _tracebacks(installation: Installation, rows: Sequence[Row]) -> list[str]:
    failures = installation.registry.failures
    found = [failures.get((r.capability, r.provider)) for r in rows if r.state == "quarantined"]
    return list(dict.fromkeys(f.traceback for f in found if f and f.traceback))


def _object(installation: Installation, rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "name": rows[0].distribution,
        "version": rows[0].version,
        "state": _state(rows),
        "offers": [
            {"capability": row.capability, "provider": row.provider, "state": row.state}
            for row in rows
        ],
        "troubles": [
            {"reason": finding.message, "fix": finding.fix and finding.fix.to_dict()}
            for finding in _troubles(installation, rows)
        ],
        "tracebacks": _tracebacks(installation, rows),
    }


def _show(
    installation: Installation, rows: Sequence[Row], output: Output, *, traceback: bool
) -> None:
    name = rows[0].distribution or "registered by a program"
    output.line(f"{one_line(f'{name} {rows[0].version}')}  {_state(rows)}")
    output.line(f"  offers: {one_line(offer_of(rows))}")
    for finding in _troubles(installation, rows):
        output.line(f"  reason: {finding.message}")
        output.line(f"  fix: {one_line(str(finding.fix))}")
    if traceback:
        for text in _tracebacks(installation, rows):
            output.text(text)
            output.end()
