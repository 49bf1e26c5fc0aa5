"""The one part of the examination that sends anything: every backend is asked, all at once.

Only with ``live`` models have to answer too: that costs time, and with some backends money.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from multitap.cli.doctor.backends import unlisted_models
from multitap.cli.doctor.installation import Reply
from multitap.cli.doctor.models import models_to_ask
from multitap.errors import BackendError, MultitapError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from multitap.cli.doctor.installation import Installation
    from multitap.runtime import Runtime
    from multitap.runtime.base import Check

__all__ = ("ask",)

T = TypeVar("T")
R = TypeVar("R")

SECONDS = 2.0
"""For one question to one backend."""
LIVE_SECONDS = 60.0
"""For one answer of one model, which may have to be loaded first."""


def ask(installation: Installation, *, live: bool = False) -> None:
    """Fill in who answers, which models are there although no list has them, and what they say."""
    from multitap.runtime import Runtime

    names = [name for name in installation.looked_at if installation.is_ready(name)]
    with Runtime(installation.config, registry=installation.registry) as runtime:
        replies = _at_once(partial(_reply, installation, runtime), names)
        installation.replies = dict(zip(names, replies, strict=True))
        pairs = [p for p in unlisted_models(installation) if _can_prove(installation, p[0])]
        proofs = _at_once(lambda pair: _is_proven(runtime, *pair), pairs)
        installation.proven = {pair for pair, sure in zip(pairs, proofs, strict=True) if sure}
        if live:
            # one after the other: a server may have room for one of its models only
            installation.checks = {p: _checked(runtime, *p) for p in models_to_ask(installation)}


def _at_once(question: Callable[[T], R], subjects: Iterable[T]) -> list[R]:
    with ThreadPoolExecutor(max_workers=16, thread_name_prefix="multitap-ask") as pool:
        return list(pool.map(question, subjects))


def _can_prove(installation: Installation, backend: str) -> bool:
    provider = installation.sections[backend].provider
    return "provider" in installation.capabilities_of(provider)


def _reply(installation: Installation, runtime: Runtime, name: str) -> Reply:
    """What a backend says of its models, and, if it says that, of itself and the key."""
    models = error = facts = None
    for probe in runtime.probe(SECONDS, backend=name):
        models, error = probe.models, probe.error
    if _answered(error) and _can_prove(installation, name):
        try:
            facts = runtime.validate(name, timeout=SECONDS)
        except MultitapError as refusal:
            error = refusal
    return Reply(models=models, error=error, facts=facts)


def _checked(runtime: Runtime, backend: str, model: str) -> Check:
    return runtime.check(f"{backend}:{model}", schema=True, timeout=LIVE_SECONDS)


def _answered(error: MultitapError | None) -> bool:
    """Was there an answer, be it a strange one? Its plugin may know whose it is."""
    if not isinstance(error, BackendError):
        return error is None
    return error.status is not None or error.phase == "parse"


def _is_proven(runtime: Runtime, backend: str, model: str) -> bool:
    try:
        runtime.validate(backend, model=model, timeout=SECONDS)
    except MultitapError:
        return False
    return True
