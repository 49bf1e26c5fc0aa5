"""The hooks that a plugin implements: one for each capability, and three for extensions.

A plugin is a distribution with entry points. The group names the hook, the entry's name is the
provider, its value is a module that holds the implementation::

    [project.entry-points."multitap.chat"]
    acme = "multitap_acme.chat"

    # multitap_acme/chat.py
    from multitap.hookspecs import Backend, hookimpl

    @hookimpl
    def multitap_chat(backend: Backend) -> AcmeChat:
        return AcmeChat(backend)

A hook is called once for each configured backend, on its first use. It does no I/O: it returns an
object with the capability's methods, which describe work (see ``multitap.work``). A module is
imported only when its capability is first used.

Extensions cut across all plugins. Their entry points have a name of their own choice::

    [project.entry-points."multitap.extension"]
    stopwatch = "acme_stopwatch.observer"   # multitap_observer, multitap_filter, or both
    [project.entry-points."multitap.command"]
    cost = "acme_stopwatch.command"         # multitap_command: `multitap cost`
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

from multitap.capabilities import API, CAPABILITIES, PROTOCOLS
from multitap.work import Backend, Stage

if TYPE_CHECKING:
    import click

    from multitap.capabilities.catalog import Catalog
    from multitap.capabilities.chat import ChatModel
    from multitap.capabilities.embedding import EmbeddingModel
    from multitap.capabilities.image import ImageModel
    from multitap.capabilities.launcher import Launcher
    from multitap.capabilities.lifecycle import Lifecycle
    from multitap.capabilities.moderation import ModerationModel
    from multitap.capabilities.provider import Provider
    from multitap.capabilities.rerank import RerankModel
    from multitap.capabilities.speech import SpeechModel
    from multitap.capabilities.tokenize import Tokenizer
    from multitap.capabilities.transcription import TranscriptionModel
    from multitap.events import Event
    from multitap.extensions import CallInfo, Observer

__all__ = (
    "API",
    "CAPABILITIES",
    "Backend",
    "Specs",
    "hookimpl",
    "hookspec",
    "methods_of",
    "protocol_of",
)

hookspec = pluggy.HookspecMarker("multitap")
hookimpl = pluggy.HookimplMarker("multitap")


class Specs(Protocol):
    """Every hook; that of a capability gets the backend that it is to serve."""

    @hookspec
    def multitap_chat(self, backend: Backend) -> ChatModel:
        """Answer messages with a stream of events."""
        ...

    @hookspec
    def multitap_embedding(self, backend: Backend) -> EmbeddingModel:
        """Turn texts into vectors."""
        ...

    @hookspec
    def multitap_rerank(self, backend: Backend) -> RerankModel:
        """Order documents by relevance to a query."""
        ...

    @hookspec
    def multitap_tokenize(self, backend: Backend) -> Tokenizer:
        """Split text into the model's tokens, and join them again."""
        ...

    @hookspec
    def multitap_transcription(self, backend: Backend) -> TranscriptionModel:
        """Write down what is said in a sound."""
        ...

    @hookspec
    def multitap_speech(self, backend: Backend) -> SpeechModel:
        """Speak a text."""
        ...

    @hookspec
    def multitap_moderation(self, backend: Backend) -> ModerationModel:
        """Judge whether texts may be shown."""
        ...

    @hookspec
    def multitap_image(self, backend: Backend) -> ImageModel:
        """Make pictures from a description."""
        ...

    @hookspec
    def multitap_catalog(self, backend: Backend) -> Catalog:
        """List the models that the backend has."""
        ...

    @hookspec
    def multitap_lifecycle(self, backend: Backend) -> Lifecycle:
        """Pull, load and unload models."""
        ...

    @hookspec
    def multitap_provider(self, backend: Backend) -> Provider:
        """Prove that the endpoint and the key are good."""
        ...

    @hookspec
    def multitap_launcher(self, backend: Backend) -> Launcher:
        """Say how a server of this provider is started on this machine."""
        ...

    @hookspec
    def multitap_observer(self) -> Observer:
        """Be told of every call and attempt: when it starts, and how it ends."""
        ...

    @hookspec
    def multitap_filter(self, call: CallInfo) -> Stage[Sequence[Event], Event] | None:
        """Change the events of an answer; made for each attempt, ``None``: not of this call."""
        ...

    @hookspec
    def multitap_command(self) -> click.Command:
        """Add a command to ``multitap``, under the entry point's name."""
        ...


def protocol_of(capability: str) -> Any:
    """The class that a hook's result is checked against.

    >>> protocol_of("tokenize").__name__
    'Tokenizer'
    """
    module = import_module(f"multitap.capabilities.{capability}")
    return getattr(module, PROTOCOLS[capability])


def methods_of(capability: str) -> frozenset[str]:
    """The methods that a hook's result must have.

    >>> sorted(methods_of("tokenize"))
    ['detokenize', 'tokenize']
    """
    return frozenset(n for n in vars(protocol_of(capability)) if not n.startswith("_"))
