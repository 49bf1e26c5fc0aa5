"""Launching: what a plugin says is to be run, as a plan, a backend of its own and a call."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Union, cast
from urllib.parse import urlsplit

import attrs

from multitap.capabilities.launcher import Container, Launch, Launcher, LaunchRequest, Process
from multitap.config import Section
from multitap.errors import ConfigError, MultitapError, PluginError
from multitap.resolve import ResolvedModel
from multitap.runtime.media import MediaCalls
from multitap.runtime.traffic import once

if TYPE_CHECKING:
    from multitap.engine.call import Call
    from multitap.engine.containers import Pull
    from multitap.engine.kept import Kept, Plan
    from multitap.events import Loading

__all__ = ("READY_SECONDS", "Engine", "Launched", "Launching", "Words")

Engine = Literal["docker", "podman"]
Words = Union[str, Sequence[str]]
READY_SECONDS = 480.0
GRACE = 10.0
_ENGINES: Mapping[str, str] = MappingProxyType(
    {"docker": "https://docs.docker.com/engine/install", "podman": "https://podman.io"}
)
_PULLS = ("missing", "never", "always")
_LOOPBACK = "127.0.0.1"


@attrs.frozen(kw_only=True)
class Launched:
    """One launch: the program to be kept, and the call that starts it and waits for it."""

    backend: str
    model: str
    url: str
    kept: Kept
    call: Call[Loading]


class Launching(MediaCalls):
    """A composition, with the launching of servers."""

    _launches = threading.RLock()  # a server that is collected meanwhile is forgotten here too

    def launch(
        self,
        model: str | None,
        *,
        container: Engine | None = None,
        pull: Pull = "missing",
        executable: Words | None = None,
        port: int = 0,
        timeout: float = READY_SECONDS,
        grace: float = GRACE,
        **wishes: Any,
    ) -> Launched:
        """Put a launch together; nothing is started yet. The backend is known from here on."""
        _check(container, pull, port, timeout, grace)
        target = self.resolve(model)
        plugin = cast(Launcher, self._plugin("launcher", target.backend))
        port = port or _free_port()
        request = _request(target.model, port, container, **wishes)
        launch = self._described(plugin, request, target.backend)
        section = self._section(target, launch, port)
        plan = self._plan(launch, section, container, pull=pull, executable=executable, grace=grace)
        return self._launched(section, launch, plan, timeout)

    def forget(self, backend: str) -> None:
        """Take a launched backend away; calls to it get a ``ConfigError`` from now on."""
        with self._launches:
            others = {name: s for name, s in self.launched.items() if name != backend}
            self.launched = MappingProxyType(others)
        self.registry.forget(backend)
        self.traffic.forget(backend)
        self._catalogs.pop(backend, None)

    # ---- how it is done ------------------------------------------------------------------------

    def _described(self, plugin: Launcher, request: LaunchRequest, backend: str) -> Launch:
        """What the plugin says; what it raises, or a form that was not asked for, is its fault."""
        provider = self.backend(backend).provider
        distribution = self.view.distributions.get(("launcher", provider), "")
        wanted = Container if request.container else Process
        try:
            launch = plugin.launch(request)
        except MultitapError:
            raise
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            message = f"The launcher of {provider!r} failed with {text}"
            raise PluginError(message, distribution=distribution) from error
        if not isinstance(launch, wanted):
            message = f"The launcher of {provider!r} gave {launch!r}, which is no {wanted.__name__}"
            raise PluginError(message, distribution=distribution)
        return launch

    def _launched(self, section: Section, launch: Launch, plan: Plan, seconds: float) -> Launched:
        from multitap.engine.kept import Kept
        from multitap.engine.readiness import becoming_ready

        with self._launches:
            self.launched = MappingProxyType({**self.launched, section.name: section})
        kept = Kept(plan)
        wait = becoming_ready(kept, launch.ready, seconds, _install(launch, plan))
        target = ResolvedModel(
            backend=section.name, model=section.model or "", reference=None, how="it was launched"
        )
        alone: dict[str, Any] = {**once(), "admission": None}
        try:
            call = self._call("launcher", target, lambda: wait, seconds * 2, **alone)
        except BaseException:
            self.forget(section.name)
            raise
        url = section.endpoint or ""
        return Launched(backend=section.name, model=target.model, url=url, kept=kept, call=call)

    def _section(self, target: ResolvedModel, launch: Launch, port: int) -> Section:
        """That of the reference's backend, with the new address, and no key that is for another.

        A key in the provider's own variable is in the server's environment too, and stays.
        """
        model = launch.model or target.model
        return attrs.evolve(
            self.sections[target.backend],
            name=f"{target.backend}-{port}",
            endpoint=f"http://{_LOOPBACK}:{port}",
            model=model,
            api_key=None,
            withheld=None,
            proxy=None,
            sources={},
        )

    def _plan(
        self,
        launch: Launch,
        section: Section,
        engine: Engine | None,
        *,
        pull: Pull,
        executable: Words | None,
        grace: float,
    ) -> Plan:
        environ = dict(section.environ)
        if engine is None or isinstance(launch, Process):
            return _process_plan(cast(Process, launch), executable, environ, grace)
        from multitap.engine.containers import container_plan

        key = self.providers[section.provider].key.variable
        passed = {key: environ[key]} if key in environ else {}
        held = attrs.evolve(launch, environ={**passed, **launch.environ})
        port = urlsplit(section.endpoint or "").port or 0
        return container_plan(engine, held, port, pull, environ, grace)


def _process_plan(
    process: Process, executable: Words | None, environ: Mapping[str, str], grace: float
) -> Plan:
    from multitap.engine.kept import Plan

    words = (executable,) if isinstance(executable, str) else tuple(executable or process.argv[:1])
    return Plan(
        steps=((*words, *process.argv[1:]),),
        environ={**environ, **process.environ},
        grace=grace,
    )


def _request(
    model: str,
    port: int,
    container: Engine | None,
    *,
    tag: str = "latest",
    tool_parser: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> LaunchRequest:
    return LaunchRequest(
        model=model,
        port=port,
        container=container is not None,
        tag=tag,
        tool_parser=tool_parser or None,
        options=dict(options or {}),
    )


def _check(container: str | None, pull: str, port: Any, timeout: Any, grace: Any) -> None:
    if container not in (None, *_ENGINES):
        raise ConfigError(
            f"container is {container!r}", hint=f"Use one of {', '.join(_ENGINES)}, or None."
        )
    if pull not in _PULLS:
        raise ConfigError(f"pull is {pull!r}", hint=f"Use one of {', '.join(_PULLS)}.")
    if not isinstance(port, int) or not 0 <= port < 2**16:
        raise ConfigError(f"port is {port!r}", hint="Use a number below 65536; 0: a free one.")
    for name, seconds in {"timeout": timeout, "grace": grace}.items():
        if not isinstance(seconds, (int, float)) or not 0 <= seconds < threading.TIMEOUT_MAX:
            raise ConfigError(f"{name} is {seconds!r}", hint="Use a number of seconds.")


def _install(launch: Launch, plan: Plan) -> str:
    if isinstance(launch, Process):
        return launch.install
    engine = plan.steps[0][0]
    return f"Install {engine} ({_ENGINES[engine]}) and start it, or launch without container=."


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
