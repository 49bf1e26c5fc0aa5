"""One run of the command line: what every command is given, and how it ends."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from multitap.cli.failures import INTERRUPTED, as_known, error_events, error_object, exit_code
from multitap.cli.output import Output, ReaderGone, silence_stdout
from multitap.errors import ConfigError, LocalError, MultitapError
from multitap.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multitap.cli.doctor.installation import Installation
    from multitap.config import Config
    from multitap.manifest import ProviderInfo
    from multitap.registry import Registry
    from multitap.runtime import Runtime

__all__ = ("Form", "Invocation")

Form = Literal["text", "json", "events"]


class Invocation:
    """The form of the output, the streams, and how to make the runtime.

    ``config`` is what was read by ``runtime``; ``form`` is set while options are read, so that a
    wrong option is already reported in it.
    """

    def __init__(self, registry: Registry | None = None) -> None:
        self.output = Output()
        self.form: Form = "text"
        self.config: Config | None = None
        self.traced = "trace" in _debugging()
        self._registry = registry

    def choose(self, form: Form) -> None:
        """Use this form of output."""
        if self.form not in ("text", form):
            raise ConfigError("--json and --events exclude each other", hint="Choose one of them.")
        self.form = form

    def runtime(self, file: str | None, words: Sequence[str]) -> Runtime:
        """The runtime of this command's ``--config`` and ``--llm``."""
        from multitap.config import load_config
        from multitap.runtime import Runtime

        self.output.require()
        self.config = load_config(file, overrides=words)
        registry = self._plugins(self.config)
        if self.traced:
            from multitap.cli.trace import Trace

            registry.add(Trace(self.output), "trace", ["extension"], distribution="multitap")
        return Runtime(self.config, registry=registry)

    def known(
        self, file: str | None, words: Sequence[str]
    ) -> tuple[Config, Mapping[str, ProviderInfo]]:
        """The configuration, which has to be right, and the installed providers by name."""
        from multitap.config import load_config

        self.output.require()
        self.config = load_config(file, overrides=words)
        infos = self._plugins(self.config).providers()
        return self.config, {info.name: info for info in infos}

    @cached_property
    def registry(self) -> Registry:
        """Plugins as all layers of the configuration allow them, before any option is read."""
        from multitap.config import read_config

        return self._plugins(read_config()[0])

    def added_commands(self) -> list[tuple[str, str]]:
        """The commands of plugins, and whose each is; nothing of a plugin is imported for it."""
        from multitap.registry.installed.snapshot import installed

        if self._registry is None and not installed.declares("multitap.command"):
            return []  # without all that reads the configuration, and judges plugins by it
        usable = set(self.registry.commands())
        rows = [row for row in self.registry.entries() if row.capability == "command"]
        return [(row.provider, row.distribution) for row in rows if row.provider in usable]

    def _plugins(self, config: Config) -> Registry:
        from multitap.registry import Registry

        return self._registry or Registry.of(config.plugins)

    def installation(self, file: str | None, words: Sequence[str]) -> Installation:
        """What those who look at an installation see of it, whatever is wrong with it."""
        from pathlib import Path

        from multitap.cli.doctor.installation import Installation
        from multitap.config import config_files, read_config

        self.output.require()
        self.config, problems = read_config(file, overrides=words)
        places = [Path(file)] if file else list(config_files())
        places = [place.expanduser().absolute() for place in places]
        return Installation(
            config=self.config,
            problems=problems,
            registry=self._plugins(self.config),
            files=[place for place in places if place.is_file()],
            own_file=places[-1] if len(places) < 2 else places[1],
        )

    def failed(self, error: Exception) -> int:
        """Report an error; the exit code."""
        if isinstance(error, OSError):  # of click, which writes the help
            silence_stdout()
        if isinstance(error, (ReaderGone, BrokenPipeError)):
            return 0
        if "traceback" in _debugging() and sys.stderr:
            told = traceback.format_exception(type(error), error, error.__traceback__)
            sys.stderr.write(redact("".join(told)))
        known = as_known(error)
        self._print(known)
        self.output.note(str(known))
        return exit_code(known)

    def interrupted(self) -> int:
        """Report Ctrl-C; the exit code."""
        with suppress(ReaderGone, LocalError):
            self.output.end()
            if self.form == "json":
                self._print(LocalError("interrupted", hint="Run it again."))
            elif self.form == "events":
                self.output.json({"type": "stop", "stop_reason": "cancelled"})
            else:
                self.output.note("interrupted.")
        return INTERRUPTED

    def _print(self, error: MultitapError) -> None:
        """The error on standard output, in the form that a program asked for."""
        with suppress(ReaderGone, LocalError):
            self.output.end()
            if self.form == "json":
                self.output.json(error_object(error))
            elif self.form == "events":
                self.output.json(*error_events(error))


def _debugging() -> Sequence[str]:
    return os.environ.get("MULTITAP_DEBUG", "").split(",")
