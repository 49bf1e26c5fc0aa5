"""Errors as the command line shows them: a line, an exit code, and a JSON form."""

from __future__ import annotations

from typing import Any

import click

from multitap.errors import BackendError, ConfigError, LocalError, MultitapError, PluginError

__all__ = ("INTERRUPTED", "as_known", "error_events", "error_object", "exit_code")

INTERRUPTED = 130

_FACTS = ("distribution", "file", "line", "column", "key")


def as_known(error: Exception) -> MultitapError:
    """The error as one of Multitap's own."""
    if isinstance(error, MultitapError):
        return error
    if isinstance(error, click.ClickException):
        return _usage(error)
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return LocalError(f"{place}{error.strerror}")
    return LocalError(
        f"an internal fault, {type(error).__name__}: {error}",
        hint="Set MULTITAP_DEBUG=traceback, run it again, and report what it prints.",
    )


def _usage(error: click.ClickException) -> ConfigError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "multitap"
    return ConfigError(error.format_message(), hint=f"Run `{command} --help`.")


def exit_code(error: MultitapError) -> int:
    """2 for usage and configuration, 3 for a plugin, 1 for the backend and this machine."""
    if isinstance(error, ConfigError):
        return 2
    return 3 if isinstance(error, PluginError) else 1


def error_object(error: MultitapError) -> dict[str, Any]:
    """What ``--json`` prints in place of a result."""
    partial = getattr(error, "partial", None)
    return {"error": _facts(error), "partial": partial.to_dict() if partial else None}


def error_events(error: MultitapError) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``--events`` ends with."""
    failed = {"type": "error", "error_message": str(error), "failure": _facts(error)}
    return failed, {"type": "stop", "stop_reason": "error"}


def _facts(error: MultitapError) -> dict[str, Any]:
    if isinstance(error, BackendError):
        return error.to_dict()
    facts = {name: getattr(error, name, None) for name in _FACTS}
    return {
        "class": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "retryable": error.retryable,
        **{n: v if isinstance(v, int) else str(v) for n, v in facts.items() if v is not None},
    }
