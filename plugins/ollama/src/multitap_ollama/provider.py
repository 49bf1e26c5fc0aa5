"""Provider: which Ollama answers, and how many models it has."""

from __future__ import annotations

from functools import partial

import attrs
import msgspec

from multitap.capabilities.provider import Validation
from multitap.dialects.asking import ask
from multitap.dialects.openai.identity import wrong_server
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Operation, Out, Steps
from multitap_ollama.errors import explain_ollama
from multitap_ollama.models import Models, Shown

__all__ = ("OllamaProvider", "multitap_provider")


class Version(msgspec.Struct):
    """The answer of ``/api/version``."""

    version: str | None = None


@attrs.frozen
class OllamaProvider:
    """One server; a key is only known to what stands before it, or to ollama.com."""

    backend: str

    def validate(self, model: str | None, /) -> Operation[Validation]:
        """Its version and its models; a model that is named must be among them."""

        def steps() -> Steps[Validation]:
            answer = yield from ask(Version, "GET", "/api/version")
            found = yield from ask(Models, "GET", "/api/tags")
            if answer.version is None and found.models is None:
                raise wrong_server("Ollama", None)
            if model is not None:
                yield from ask(Shown, "POST", "/api/show", {"model": model})
            server = " ".join(filter(None, ("Ollama", answer.version)))
            yield Out([Validation(server=server, models=len(found.named()))])

        return Operation(steps, partial(explain_ollama, backend=self.backend))


@hookimpl
def multitap_provider(backend: Backend) -> OllamaProvider:
    """Ask an Ollama server for its version and its models."""
    return OllamaProvider(backend.id)
