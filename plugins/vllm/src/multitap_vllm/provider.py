"""Provider: which vLLM answers, and is the key good?

``/version`` is open to all, so that the list of models, which is not, proves the key. Where
something stands before vLLM that does not let ``/version`` through, the version stays unknown.
It is called vLLM only where the list says so: others have both paths.
"""

from __future__ import annotations

from collections.abc import Generator

import attrs
import msgspec

from multitap.capabilities.provider import Validation
from multitap.dialects.asking import ask
from multitap.dialects.openai.errors import explain_openai
from multitap.dialects.openai.identity import is_foreign, look_of, recognised, wrong_server
from multitap.errors import BackendError, ModelNotFound
from multitap.hookspecs import Backend, hookimpl
from multitap.work import HttpCall, HttpReply, Operation, Out, Steps
from multitap_vllm.models import Models

__all__ = ("VllmProvider", "multitap_provider")


class Version(msgspec.Struct):
    """The answer of ``/version``."""

    version: str | None = None


@attrs.frozen
class VllmProvider:
    """One server."""

    def validate(self, model: str | None, /) -> Operation[Validation]:
        """Its version and its models; a model that is named must be among them.

        Raises:
            ProtocolError: ``wrong_server``: another kind of server answers; it says which.
        """

        def steps() -> Steps[Validation]:
            version = yield from _version()
            try:
                models = yield from ask(Models, "GET", "/v1/models")
            except BackendError as error:
                raise (yield from recognised(error, "vLLM", "vllm")) from None
            names = models.named()
            look = look_of((row.id, row.owned_by) for row in names.values())
            if models.data is None or (look is not None and look.provider != "vllm"):
                raise wrong_server("vLLM", look)
            if model is not None and model not in names:
                served = ", ".join(names) or "none"
                raise ModelNotFound(
                    f"The server has no model {model!r}; it has: {served}", model=model
                )
            server = f"vLLM {version}" if version and look else None
            yield Out([Validation(server=server, models=len(names))])

        return Operation(steps, explain_openai)


def _version() -> Generator[HttpCall, HttpReply, str | None]:
    try:
        return (yield from ask(Version, "GET", "/version")).version
    except BackendError as error:
        if not is_foreign(error):
            raise
        return None


@hookimpl
def multitap_provider(backend: Backend) -> VllmProvider:
    """Ask a vLLM server for its version and its models."""
    return VllmProvider()
