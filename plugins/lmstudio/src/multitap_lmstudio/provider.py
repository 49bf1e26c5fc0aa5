"""Provider: is it an LM Studio that answers, and does it take the key?"""

from __future__ import annotations

import attrs

from multitap.capabilities.provider import Validation
from multitap.dialects.openai.errors import explain_openai
from multitap.dialects.openai.identity import recognised
from multitap.errors import BackendError, ModelNotFound
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Operation, Out, Steps
from multitap_lmstudio.catalog import all_models

__all__ = ("LmStudioProvider", "multitap_provider")


@attrs.frozen
class LmStudioProvider:
    """One LM Studio; it does not tell its version."""

    backend: str

    def validate(self, model: str | None, /) -> Operation[Validation]:
        """How many models it has; one that is named must be among them.

        Raises:
            ProtocolError: ``wrong_server``: another kind of server answers; it says which.
        """

        def steps() -> Steps[Validation]:
            try:
                models = yield from all_models()
            except BackendError as error:
                raise (yield from recognised(error, "LM Studio", "lmstudio")) from None
            if model is not None and model not in {found.id for found in models}:
                raise ModelNotFound(
                    f"LM Studio has no model {model!r}",
                    hint=f"Run `multitap pull {self.backend}:{model}`.",
                    model=model,
                )
            yield Out([Validation(server="LM Studio", models=len(models))])

        return Operation(steps, explain_openai)


@hookimpl
def multitap_provider(backend: Backend) -> LmStudioProvider:
    """Ask an LM Studio for its models."""
    return LmStudioProvider(backend.id)
