"""Models, live: do those that the configuration names answer, and keep to a schema as declared?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multitap.cli.doctor.backends import named_models, unlisted_models
from multitap.cli.doctor.findings import Advice, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multitap.cli.doctor.installation import Installation
    from multitap.errors import MultitapError
    from multitap.runtime.base import Check

__all__ = ("examine_live", "models_to_ask")


def models_to_ask(installation: Installation) -> Sequence[tuple[str, str]]:
    """The models that the configuration names, and that are there to chat."""
    missing = unlisted_models(installation).keys() - set(installation.proven)
    named = dict.fromkeys(named_models(installation))
    return [pair for pair in named if pair not in missing and _can_chat(installation, *pair)]


def _can_chat(installation: Installation, backend: str, model: str) -> bool:
    reply = (installation.replies or {}).get(backend)
    if reply is None or reply.error is not None:
        return False
    known = next((m for m in reply.models or () if m.id == model), None)
    able = known is None or known.capabilities is None or "chat" in known.capabilities
    return able and "chat" in installation.capabilities_of(installation.sections[backend].provider)


def examine_live(installation: Installation) -> Iterator[Finding]:
    """Does each model answer, and with the JSON that it was asked for?"""
    if installation.checks is None:
        return
    if not installation.checks:
        message = "no model was asked: the configuration names none that is there to chat"
        yield Finding(id="model-unasked", level="info", message=message)
    for (backend, model), check in installation.checks.items():
        subject = f"{backend}:{model}"
        if check.error is not None:
            yield _silent(subject, check.error)
            continue
        message = f"{subject} answers, after {check.latency:.1f} s"
        yield Finding(id="model", level="ok", subject=subject, message=message)
        yield _schema(subject, check)


def _silent(subject: str, error: MultitapError) -> Finding:
    return Finding(
        id="model-failing",
        level="error",
        subject=subject,
        message=f"{subject} does not answer: {error.message}",
        fix=Advice(error.hint.rstrip(".")),
    )


def _schema(subject: str, check: Check) -> Finding:
    """What is declared of structured output, beside what was seen."""
    if check.keeps_schema is False:
        return Finding(
            id="schema-ignored",
            level="warning",
            subject=subject,
            message=f"{subject} was asked for JSON of a schema, and did not keep to it",
            fix=Advice("use another model, or a newer server; check what response_format brings"),
        )
    kept, ok = "was asked for JSON of a schema, and kept to it", check.keeps_schema
    unsure = "was cut before its JSON was whole: nothing is known of schemas"
    why = unsure if check.declares_schema else "cannot be asked for JSON of a schema"
    message = f"{subject} {kept if ok else why}"
    return Finding(id="schema", level="ok" if ok else "info", subject=subject, message=message)
