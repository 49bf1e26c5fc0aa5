"""The command itself: look at everything, tell what was found, end with the worst."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from multitap.cli.clean import one_line
from multitap.cli.doctor.asking import ask
from multitap.cli.doctor.backends import examine_answers, examine_keys, examine_models
from multitap.cli.doctor.configuration import (
    examine_aliases,
    examine_default,
    examine_files,
    examine_filters,
    examine_permissions,
    examine_problems,
    examine_sections,
)
from multitap.cli.doctor.findings import exit_code
from multitap.cli.doctor.machine import (
    examine_core,
    examine_extras,
    examine_proxies,
    examine_python,
    examine_variables,
)
from multitap.cli.doctor.models import examine_live
from multitap.cli.doctor.plugins import examine_commands, examine_hooks, examine_plugins
from multitap.cli.options import Command, json_option, option, settings_options
from multitap.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from multitap.cli.doctor.findings import Finding
    from multitap.cli.doctor.installation import Installation
    from multitap.cli.invocation import Invocation
    from multitap.cli.output import Output

__all__ = ("EXAMINATIONS", "doctor", "examine")

_EXAMPLES = """\b
Examples:
  multitap doctor
  multitap doctor ollama --json
  multitap doctor --offline
  multitap doctor --live

\b
Exit codes: 0 no error was found; else 3 where a plugin is broken, 2 where the configuration is
wrong, 1 where only a backend does not answer.
"""

EXAMINATIONS: Sequence[Callable[[Installation], Iterator[Finding]]] = (
    examine_python,
    examine_core,
    examine_extras,
    examine_variables,
    examine_proxies,
    examine_files,
    examine_permissions,
    examine_problems,
    examine_plugins,
    examine_commands,
    examine_hooks,
    examine_filters,
    examine_sections,
    examine_default,
    examine_aliases,
    examine_keys,
    examine_answers,
    examine_models,
    examine_live,
)
"""In the order in which they are told: what stands behind the others comes first."""


@click.command(
    cls=Command, epilog=_EXAMPLES, short_help="Find what is broken, and what would mend it."
)
@click.argument("backend", required=False)
@option("--offline", is_flag=True, group="Model", help="Ask no backend.")
@option("--live", is_flag=True, group="Model", help="Ask the models that are named for an answer.")
@settings_options
@json_option
@click.pass_context
def doctor(
    context: click.Context,
    /,
    backend: str | None,
    offline: bool,
    live: bool,
    llm: Sequence[str],
    config: str | None,
) -> None:
    """Look at what is installed, configured and reachable, or at BACKEND alone of the backends.

    Plugins are imported for it. Every backend is asked at once, for 2 seconds at most. Each error
    and warning comes with what would mend it; nothing is changed. With --live each model that the
    configuration names answers one question, in JSON of a schema where its plugin declares that.
    """
    if live and offline:
        raise click.UsageError("--live and --offline contradict each other")
    invocation: Invocation = context.obj
    installation = invocation.installation(config, llm)
    installation.only = _known(installation, backend)
    installation.registry.load()
    if not offline:
        ask(installation, live=live)
    findings = list(examine(installation))
    if invocation.form == "json":
        rows = [finding.to_dict() for finding in findings]
        invocation.output.json({"exit_code": exit_code(findings), "findings": rows})
    else:
        _show(findings, invocation.output)
    context.exit(exit_code(findings))


def examine(installation: Installation) -> Iterator[Finding]:
    """Everything that is found, each once, in the order of ``EXAMINATIONS``."""
    told: set[tuple[str, str]] = set()
    for finding in (found for look in EXAMINATIONS for found in look(installation)):
        if (finding.id, finding.message) not in told:
            told.add((finding.id, finding.message))
            yield finding


def _known(installation: Installation, backend: str | None) -> str | None:
    name = backend.strip().rstrip(":").lower() if backend else None
    if name is not None and name not in installation.sections:
        known = ", ".join(sorted(installation.sections)) or "none"
        hint = f"Backends: {known}. `multitap doctor` looks at all of them."
        raise ConfigError(f"there is no backend {backend!r}", hint=hint)
    return name


def _show(findings: Sequence[Finding], output: Output) -> None:
    for finding in findings:
        output.line(f"{finding.level:<8} {finding.message}  [{finding.id}]")
        if finding.fix is not None:
            output.line(f"{'':8} fix: {one_line(str(finding.fix))}")
    counts = [sum(finding.level == level for finding in findings) for level in ("error", "warning")]
    told = [
        f"{n} {word}{'s' * (n != 1)}" for n, word in zip(counts, ("error", "warning"), strict=True)
    ]
    output.line(f"{told[0]}, {told[1]}.")
