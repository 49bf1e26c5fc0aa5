"""What needs no I/O and is the same in both runtimes: reports, and checks of results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, Union, cast

import attrs

from multitap.answer import Answer
from multitap.capabilities.catalog import Model
from multitap.capabilities.provider import Validation
from multitap.capabilities.rerank import Ranking, RerankRequest, sort_ranked
from multitap.config.packages import did_you_mean
from multitap.config.values import base_url
from multitap.engine.call import Call
from multitap.errors import ConfigError, EngineError, ModelNotFound, MultitapError, ProtocolError
from multitap.events import Notice
from multitap.manifest import ProviderInfo
from multitap.registry import Registry, Row
from multitap.resolve import ResolvedModel
from multitap.runtime.composition import ConfigSource
from multitap.runtime.launching import Launching
from multitap.work import Backend

__all__ = (
    "Base",
    "Check",
    "Found",
    "Handle",
    "Models",
    "Probe",
    "check_options",
    "checked",
    "listed",
    "ranked",
    "schema_facts",
    "silence",
    "single",
)

T = TypeVar("T")
Found = Union[Sequence[Model], MultitapError]

PROBE_SECONDS = 2.0
CHECK_PROMPT = "Answer with one word: ready."
CHECK_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"ready": {"type": "boolean"}},
    "required": ["ready"],
    "additionalProperties": False,
}


class Models(list[Model]):
    """Models of several backends; ``warnings`` says which backends could not be asked."""

    def __init__(self, models: Iterable[Model] = (), warnings: Iterable[Notice] = ()) -> None:
        super().__init__(models)
        self.warnings = tuple(warnings)


@attrs.frozen(kw_only=True)
class Probe:
    """Whether a backend answers, and with which models; ``latency`` in seconds."""

    backend: str
    provider: str
    endpoint: str
    reachable: bool
    latency: float
    models: tuple[Model, ...] = ()
    error: MultitapError | None = None


@attrs.frozen(kw_only=True)
class Check:
    """Whether a model really answers; an empty answer is none. ``latency`` in seconds.

    Attributes:
        declares_schema: Does its plugin say that a JSON Schema reaches the server?
        keeps_schema: Did the answer keep to one? ``None``: not asked, or cut before it could.
    """

    ok: bool
    backend: str
    model: str
    latency: float
    error: MultitapError | None = None
    declares_schema: bool | None = None
    keeps_schema: bool | None = None


class Base:
    """What needs no I/O, and is the same in both runtimes."""

    def __init__(
        self,
        config: ConfigSource,
        registry: Registry | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parts = Launching(config, registry, clock)

    def capabilities(self) -> Sequence[Row]:
        """What installed distributions declare; nothing is imported for it."""
        return self._parts.registry.capabilities()

    def providers(self) -> Sequence[ProviderInfo]:
        """Installed providers, as their distributions describe them."""
        return self._parts.registry.providers()

    def backends(self) -> Sequence[Backend]:
        """Configured backends, and the default one of each installed provider."""
        self._parts.registry.notice()
        known = self._parts.providers
        sections = self._parts.sections.items()
        return [self._parts.backend(name) for name, s in sections if s.provider in known]

    @property
    def observer_faults(self) -> Mapping[str, int]:
        """How often the observers of a distribution raised; it reached no call."""
        return self._parts.registry.observer_faults

    def limit(
        self,
        backend: str,
        *,
        max_in_flight: int | None = None,
        requests_per_second: float | None = None,
    ) -> None:
        """Set a backend's limits while it is used; calls that wait are looked at again.

        Args:
            backend: Its id.
            max_in_flight: Calls of one model at a time; ``None``: as many as the server bears.
            requests_per_second: Of one model; ``None``: any number.

        Raises:
            ConfigError: An unknown backend, or a limit that is not above 0.
        """
        for name, value in (
            ("max_in_flight", max_in_flight),
            ("requests_per_second", requests_per_second),
        ):
            if value is not None and not value > 0:
                raise ConfigError(f"{name} is {value!r}; it has to be more than 0")
        parts = self._parts
        section = parts.sections[parts.backend(parts.name_of(backend)).id]
        parts.traffic.admission(section).configure(max_in_flight, requests_per_second)

    def reload(self) -> None:
        """Look at what is installed afresh, and import plugins anew when they are next used.

        Plugins that were broken get another chance; calls in flight finish with what they have.
        What is installed or removed is seen without it; files that are edited need it.
        """
        self._parts.reload()

    def resolve(self, reference: str | None = None) -> ResolvedModel:
        """The backend and model that a reference means; no network."""
        return self._parts.resolve(reference)

    def _probed(self, backend: str, started: float, found: Found) -> Probe:
        section = self._parts.sections[backend]  # `found` may be what is wrong with its settings
        provider = self._parts.providers[section.provider]
        error = found if isinstance(found, MultitapError) else None
        return Probe(
            backend=backend,
            provider=provider.name,
            endpoint=base_url(section.endpoint or provider.endpoint, provider.suffixes),
            reachable=error is None,
            latency=time.monotonic() - started,
            models=() if isinstance(found, MultitapError) else tuple(found),
            error=error,
        )

    def _gather(self, names: Sequence[str], found: Sequence[Found]) -> Models:
        rows = list(zip(names, found, strict=True))
        models = [m for _, models in rows if not isinstance(models, MultitapError) for m in models]
        failed = [(name, error) for name, error in rows if isinstance(error, MultitapError)]
        return Models(models, [Notice("backend_down", str(e), name) for name, e in failed])

    def _placed(self, backend: str, models: Iterable[Model]) -> list[Model]:
        return [attrs.evolve(model, backend=backend) for model in models]

    def _keep(self, backend: str, models: Iterable[Model]) -> Sequence[Model]:
        kept = self._placed(backend, models)
        self._parts.remember(backend, kept)
        return [self._parts.observed.completed(model) for model in kept]


class Handle:
    """One model of one backend, to which a runtime's verbs are bound."""

    def __init__(self, target: ResolvedModel) -> None:
        self.backend = target.backend
        self.id = target.model
        self.ref = target.ref

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.ref}>"


def single(results: Sequence[T], call: Call[T]) -> T:
    """The one result of a call, with the warnings before it; else it is a ``ProtocolError``."""
    notices = tuple(result for result in results if isinstance(result, Notice))
    found = [result for result in results if not isinstance(result, Notice)]
    if len(found) != 1:
        message = f"The backend gave {len(found)} results, not one"
        raise call.located(ProtocolError(message, kind="empty_response"))
    one: Any = found[0]
    told = notices and hasattr(one, "warnings")
    return cast(T, attrs.evolve(one, warnings=(*notices, *one.warnings)) if told else one)


def ranked(found: Ranking, request: RerankRequest, call: Call[Ranking]) -> Ranking:
    """The ranking in order and cut as asked, if it ranks what was sent."""
    strange = [r.index for r in found.results if not 0 <= r.index < len(request.documents)]
    if strange:
        message = f"The backend ranked document {strange[0]}, which was not sent"
        raise call.located(ProtocolError(message))
    outside = next((r for r in found.results if not 0 <= r.score <= 1), None)
    if outside is not None:
        message = f"Document {outside.index} is scored {outside.score:g}, which is not from 0 to 1"
        raise call.located(ProtocolError(message, kind="rerank_invalid"))
    results = sort_ranked(found.results, request.top_n, request.threshold)
    return attrs.evolve(found, results=results)


def listed(models: Sequence[Model], target: ResolvedModel) -> Validation:
    """What a list of models proves, if it has the model that was named."""
    names = [model.id for model in models]
    if target.model and target.model not in names:
        raise ModelNotFound(
            f"It does not list the model {target.model!r}{did_you_mean(target.model, names)}",
            backend=target.backend,
            model=target.model,
        )
    return Validation(models=len(names))


def silence(answer: Answer) -> MultitapError | None:
    """The error of an answer in which nothing is."""
    if answer.text or answer.reasoning or answer.tool_calls:
        return None
    return EngineError("The model answered nothing", kind="empty_response", backend=answer.backend)


def check_options(schema: bool) -> dict[str, Any]:
    """Of the question of a check; a model that is free to does not answer it in JSON."""
    if not schema:
        return {"max_tokens": 16}
    return {"max_tokens": 512, "temperature": 0, "response_format": CHECK_SCHEMA}


def schema_facts(answer: Answer) -> dict[str, bool | None]:
    """What an answer proves of structured output: what is declared, and what was kept."""
    codes = {notice.code for notice in answer.warnings if notice.option == "response_schema"}
    declared = "unsupported_option" not in codes
    if not declared or answer.stop_reason != "complete":
        return {"declares_schema": declared}
    return {"declares_schema": True, "keeps_schema": "schema_not_kept" not in codes}


def checked(
    target: ResolvedModel, started: float, error: MultitapError | None, **facts: bool | None
) -> Check:
    """The report of a check that began at ``started`` (``time.monotonic()``)."""
    return Check(
        **facts,
        ok=error is None,
        backend=target.backend,
        model=target.model,
        latency=time.monotonic() - started,
        error=error,
    )
