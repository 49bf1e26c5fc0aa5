"""What both runtimes are made of: configuration, registry and policy, composed into calls.

Nothing here does I/O beyond reading configuration; a ``Call`` says what the engine is to do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar, Union, cast

from multitap.capabilities.catalog import Catalog, Model
from multitap.capabilities.chat import ChatModel
from multitap.capabilities.embedding import (
    EmbeddingModel,
    EmbeddingRequest,
    Embeddings,
    InputType,
)
from multitap.capabilities.provider import Provider, Validation
from multitap.capabilities.rerank import Ranking, RerankModel, RerankRequest
from multitap.capabilities.tokenize import (
    DetokenizeRequest,
    Tokenizer,
    TokenizeRequest,
    Tokens,
    TokenText,
)
from multitap.config import Config, Section, load_config
from multitap.engine.call import Call
from multitap.errors import ConfigError, NotSupported
from multitap.events import Event
from multitap.fitting import estimate_tokens
from multitap.manifest import ProviderInfo
from multitap.parameters import check_parameters
from multitap.plan import Prompt, chat_request, fit_to_model, honoured, texts_of, unheard
from multitap.policy.batches import BatchLimits, Widths
from multitap.registry import Registry, Row
from multitap.resolve import ResolvedModel, backend_of, default_backend, resolve
from multitap.runtime.batches import Batches
from multitap.runtime.elsewhere import elsewhere
from multitap.runtime.extending import Filters, Subject, configured_filters, extended
from multitap.runtime.observed import Observed
from multitap.runtime.traffic import WHOLE_CALL, Timeouts, Traffic, once
from multitap.runtime.view import View
from multitap.runtime.wording import worded
from multitap.work import Backend

__all__ = ("Composition", "ConfigSource")

T = TypeVar("T")
ConfigSource = Union[None, str, "os.PathLike[str]", Mapping[str, Any], Config]

NOTHING: Mapping[str, Any] = MappingProxyType({})
NO_SECTIONS: Mapping[str, Section] = MappingProxyType({})
MOST_KEPT = 1024
SHORT_CALL_FIRST_BYTE = 60.0
STREAM_FIRST_BYTE = 120.0


class Composition:
    """One configuration and what is installed, as backends, models and calls."""

    def __init__(
        self,
        config: ConfigSource = None,
        registry: Registry | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config if isinstance(config, Config) else load_config(config)
        self.registry = registry or Registry.of(self.config.plugins)
        self._view: View | None = None
        self.launched: Mapping[str, Section] = NO_SECTIONS
        self.traffic = Traffic(clock)
        self._catalogs: dict[str, Sequence[Model]] = {}
        self._limits = BatchLimits(clock)
        self._widths = Widths()
        self.observed = Observed()

    # ---- what there is -------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """Configuration and plugins as of the registry's last look."""
        view = self._view
        current = self.registry.generation, self.launched
        if view is None or view.generation != current[0] or view.launched is not current[1]:
            self._view = view = View(self.config, self.registry, self.launched)
        return view

    @property
    def providers(self) -> Mapping[str, ProviderInfo]:
        """Installed providers by name."""
        return self.view.providers

    @property
    def sections(self) -> Mapping[str, Section]:
        """Configured and launched backends, and one for each provider that is not configured."""
        return self.view.sections

    @property
    def rows(self) -> Sequence[Row]:
        """The declared table."""
        return self.view.rows

    def backend(self, name: str) -> Backend:
        """A configured or default backend; for one that is not known a look is taken."""
        return self._view_with(name).backend(name)

    def _view_with(self, backend: str) -> View:
        view = self.view
        if backend not in view.sections:
            self.registry.notice()
            view = self.view
        return view

    def reload(self) -> None:
        """Look at what is installed afresh, and import what is used anew."""
        self.registry.reload()
        self._widths.forget()
        self._view = None

    def name_of(self, backend: str) -> str:
        """The id of the backend that a name means; case does not matter."""
        return backend_of(backend, self.sections)

    def offering(self, capability: str) -> list[str]:
        """The backends whose provider declares a capability, in order of name."""
        self.registry.notice()
        usable = {"declared", "loaded"}
        able = {r.provider for r in self.rows if r.capability == capability and r.state in usable}
        return sorted(name for name, section in self.sections.items() if section.provider in able)

    def resolve(self, reference: str | None) -> ResolvedModel:
        """The backend and the model that a reference means; no network."""
        if not isinstance(reference, (str, type(None))):
            raise ConfigError(f"model is {reference!r}", hint="Write a text: backend:model.")
        view, kept = self.view, self.view.resolved
        found = kept.get(reference)
        if found is None:
            found = self._resolved(reference)
            if view.settles(reference, found) and len(kept) < MOST_KEPT:
                kept[reference] = found
        return found

    def _resolved(self, reference: str | None) -> ResolvedModel:
        backend, colon, model = (reference or "").partition(":")
        if backend in self.launched:
            name = model or self.launched[backend].model or ""
            how = f"{backend!r} was launched"
            return ResolvedModel(backend=backend, model=name, reference=reference, how=how)
        if colon and backend not in self.sections:
            self.registry.notice(quick=True)
        catalogs = {name: [m.id for m in models] for name, models in self._catalogs.items()}
        return resolve(reference, self.config, self.view.configured, catalogs)

    def remember(self, backend: str, models: Sequence[Model]) -> None:
        """Keep a catalog, for references without a backend and for the models' limits."""
        self._catalogs[backend] = models
        self.view.resolved = {}

    def _known(self, target: ResolvedModel) -> Model | None:
        models = self._catalogs.get(target.backend, ())
        return next((model for model in models if model.id == target.model), None)

    # ---- calls ---------------------------------------------------------------------------------

    def chat(
        self,
        prompt: Prompt | None,
        model: str | None,
        *,
        fallback: Iterable[str] | None = None,
        **options: Any,
    ) -> Call[Event]:
        """Answer a prompt, here or, where that fails before anything came, elsewhere."""
        target = self.resolve(model)
        view = self._view_with(target.backend)
        call = self._chat(prompt, target, view=view, **options)
        listed = view.sections[target.backend].fallback if fallback is None else tuple(fallback)
        if not listed:
            return call
        others = [self.resolve(reference) for reference in listed]
        return elsewhere(call, others, partial(self._chat, prompt, **options))

    def _chat(
        self,
        prompt: Prompt | None,
        target: ResolvedModel,
        *,
        stream: bool,
        timeout: Timeouts = None,
        deadline: float | None = None,
        limits: Mapping[str, int] | None = None,
        force: bool = False,
        idempotent: bool = False,
        strict: bool = False,
        metadata: Mapping[str, Any] | None = None,
        view: View | None = None,
        **options: Any,
    ) -> Call[Event]:
        request = chat_request(target.model, prompt, stream=stream, metadata=metadata, **options)
        view = view or self._view_with(target.backend)
        section = view.sections[target.backend]
        request = check_parameters(request, view.provider_of(target.backend))
        plugin: ChatModel = self._plugin("chat", target.backend, view)  # type: ignore[assignment]
        known = self._known(target)
        request, clamped = fit_to_model(request, known.max_output_tokens if known else None)
        pricing = section.prices.get(target.model, known.pricing if known else None)
        request, wording = worded(request, plugin, section, strict=strict)
        fitting = wording.fitting(request, section, known)
        request, fitted = fitting.fitted()
        request, ignored = honoured(request, wording.options, strict=strict, backend=target.backend)
        ask = partial(wording.ask, plugin)
        return self._call(
            "chat",
            target,
            partial(ask, request),
            timeout,
            notices=(*clamped, *wording.notices, *fitted, *ignored),
            shorter=fitting.shorter(request, ask),
            filters=wording.filters,
            ends_with_stop=True,
            streamed=stream,
            pricing=pricing,
            schema=request.response_schema,
            first_byte=STREAM_FIRST_BYTE if stream else WHOLE_CALL,
            deadline=deadline,
            limits=limits,
            view=view,
            force=force,
            idempotent=idempotent,
            cost=lambda: estimate_tokens(request) + (request.max_tokens or 0),
            load=partial(self._reload, target),
            extensions={
                "filters": configured_filters(self.registry, self.config.plugins),
                "streamed": stream,
                "metadata": metadata,
            },
        )

    def embed(
        self,
        texts: str | Iterable[str],
        model: str | None,
        *,
        dimensions: int | None = None,
        input_type: InputType | None = None,
        timeout: Timeouts = None,
        limits: Mapping[str, int] | None = None,
        force: bool = False,
    ) -> Batches:
        """Turn texts into vectors, in as many calls as it takes; all have one deadline."""
        target = self.resolve(model)
        request = EmbeddingRequest(
            model=target.model,
            texts=texts_of(texts, "texts"),
            dimensions=dimensions,
            input_type=input_type,
        )
        plugin = cast(EmbeddingModel, self._plugin("embedding", target.backend))
        asked = {"dimensions": dimensions, "input_type": input_type}
        notices = tuple(unheard(asked, getattr(plugin, "options", None)))
        deadline = self.traffic.deadline(self.sections[target.backend], timeout)

        def call(part: EmbeddingRequest) -> Call[Embeddings]:
            work = partial(plugin.embed, part)
            rules: dict[str, Any] = {
                "deadline": deadline,
                "first_byte": WHOLE_CALL,
                "notices": notices,
                "limits": limits,
                "force": force,
            }
            return self._call("embedding", target, work, timeout, **rules)

        declared = getattr(plugin, "most_texts", None)
        return Batches(request, call, self._limits, target.backend, declared, self._widths)

    def rerank(
        self,
        query: str,
        documents: Iterable[str],
        model: str | None,
        *,
        top_n: int | None = None,
        threshold: float | None = None,
        timeout: Timeouts = None,
    ) -> tuple[RerankRequest, Call[Ranking]]:
        """Order documents by relevance."""
        target = self.resolve(model)
        request = RerankRequest(
            model=target.model,
            query=texts_of(query, "queries")[0],
            documents=texts_of(documents, "documents"),
            top_n=top_n,
            threshold=threshold,
        )
        plugin = cast(RerankModel, self._plugin("rerank", target.backend))
        return request, self._call("rerank", target, lambda: plugin.rerank(request), timeout)

    def tokenize(
        self, text: str, model: str | None, *, special: bool, timeout: Timeouts = None
    ) -> Call[Tokens]:
        """Split a text."""
        target = self.resolve(model)
        request = TokenizeRequest(model=target.model, text=text, special=special)
        plugin = cast(Tokenizer, self._plugin("tokenize", target.backend))
        notices = unheard({"special": special or None}, getattr(plugin, "options", None))
        work = partial(plugin.tokenize, request)
        return self._call("tokenize", target, work, timeout, notices=notices)

    def detokenize(
        self, ids: Iterable[int], model: str | None, *, timeout: Timeouts = None
    ) -> Call[TokenText]:
        """Join token ids."""
        target = self.resolve(model)
        request = DetokenizeRequest(model=target.model, ids=tuple(ids))
        plugin = cast(Tokenizer, self._plugin("tokenize", target.backend))
        return self._call("tokenize", target, lambda: plugin.detokenize(request), timeout)

    def models(self, backend: str, timeout: Timeouts, *, patient: bool) -> Call[Model]:
        """List one backend's models; ``patient``: try again if it is not there."""
        target = ResolvedModel(backend=backend, model="", reference=None, how="its catalog")
        plugin = cast(Catalog, self._plugin("catalog", backend))
        return self._call("catalog", target, plugin.models, timeout, **({} if patient else once()))

    def to_validate(self, backend: str | None, model: str | None) -> ResolvedModel:
        """What is to be validated: a backend, with a model only where one is named or set."""
        if backend is None and model is None and self.config.defaults.model is None:
            backend = default_backend(self.config, self.view.configured)
        if backend is None:
            return self.resolve(model)
        return ResolvedModel(backend=backend, model=model or "", reference=model, how="it is named")

    def has_validation(self, backend: str) -> bool:
        """Has its provider a hook for that? Else its catalog is to be asked.

        Raises:
            NotSupported: It has neither.
        """
        provider = self.backend(backend).provider
        rows = [row for row in self.rows if row.provider == provider and row.state != "denied"]
        declared = {row.capability for row in rows}
        if not declared & {"provider", "catalog"}:
            message = f"{provider} can neither be validated nor list its models"
            raise NotSupported(message, backend=backend, hint="Ask a model: Runtime.check does.")
        return "provider" in declared

    def validate(self, target: ResolvedModel, timeout: Timeouts) -> Call[Validation]:
        """Prove endpoint, key and model."""
        plugin = cast(Provider, self._plugin("provider", target.backend))
        return self._call(
            "provider", target, lambda: plugin.validate(target.model or None), timeout
        )

    # ---- how a call is put together ------------------------------------------------------------

    def _plugin(self, capability: str, backend: str, view: View | None = None) -> object:
        seen = view or self._view_with(backend)
        return self.registry.build(capability, seen.usable_backend(backend))

    def _call(
        self,
        capability: str,
        target: ResolvedModel,
        work: Any,
        timeout: Timeouts = None,
        deadline: float | None = None,
        first_byte: float = SHORT_CALL_FIRST_BYTE,
        limits: Mapping[str, int] | None = None,
        extensions: Mapping[str, Any] = NOTHING,
        view: View | None = None,
        **facts: Any,
    ) -> Call[Any]:
        """The call of some work; what the plugin raises while describing it is the plugin's say."""
        view = view or self._view_with(target.backend)
        backend, section = view.backend(target.backend), view.sections[target.backend]
        rules = self.traffic.rules(
            section,
            timeout,
            limits,
            first_byte=first_byte,
            deadline=deadline,
            vectors=capability == "embedding",
        )
        distribution = view.distributions.get((capability, backend.provider), "")
        subject = Subject(capability, backend, distribution, target.model)
        own: Filters = facts.pop("filters", tuple)
        added = extended(subject, own, view.observers, **extensions)
        call: Call[Any] = Call(
            backend=backend,
            model=target.model,
            distribution=distribution,
            work=None,  # type: ignore[arg-type]  # it is described at once
            noticed=self.observed.note,
            **{**rules, **facts, **added},
        )
        return call.described(work)

    def _reload(self, target: ResolvedModel) -> Call[Any] | None:
        """The call that loads a model, where there is one."""
        return None
