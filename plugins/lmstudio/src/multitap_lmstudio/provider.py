"""Provider: is it an LM Studio that answers, and does it take the key?"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import attrs

from multitap.capabilities.provider import Validation
from multitap.dialects.openai.errors import explain_openai
from multitap.dialects.openai.identity import look_of, wrong_server
from multitap.errors import BackendError, ModelNotFound
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Operation, Out, Steps
from multitap_lmstudio.catalog import all_models
from multitap_lmstudio.replies import ask

__all__ = ("LmStudioProvider", "multitap_provider")

_TELLING = (401, 403, 429, 500, 502, 503, 504)
Asking = Generator[Any, Any, Any]


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
                if error.status in _TELLING or (error.status is None and error.phase != "parse"):
                    raise
                raise wrong_server("LM Studio", (yield from _look())) from None
            if model is not None and model not in {found.id for found in models}:
                raise ModelNotFound(
                    f"LM Studio has no model {model!r}",
                    hint=f"Run `multitap pull {self.backend}:{model}`.",
                    model=model,
                )
            yield Out([Validation(server="LM Studio", models=len(models))])

        return Operation(steps, explain_openai)


def _look() -> Asking:
    try:
        answer = yield from ask("GET", "/v1/models")
    except BackendError:
        return None
    rows = [row for row in answer.get("data") or () if isinstance(row, dict)]
    return look_of((row.get("id"), row.get("owned_by")) for row in rows)


@hookimpl
def multitap_provider(backend: Backend) -> LmStudioProvider:
    """Ask an LM Studio for its models."""
    return LmStudioProvider(backend.id)
