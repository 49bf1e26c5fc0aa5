"""Backends: their keys, whether they answer, and whether they have the models that are named."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from multitap.capabilities.provider import Validation
from multitap.cli.doctor.findings import Advice, Finding, Run
from multitap.cli.doctor.installation import Reply
from multitap.cli.doctor.plugins import broken
from multitap.config import KeyHeader, MissingKey, keys_of
from multitap.config.routes import route_of
from multitap.config.secret import KEYRING_HINT
from multitap.config.values import is_loopback
from multitap.errors import (
    AuthenticationError,
    BackendError,
    BadRequest,
    ConfigError,
    ModelNotFound,
    MultitapError,
    NotSupported,
    PluginError,
    ProtocolError,
    ProviderDown,
    ProxyFailed,
    Timeout,
    TLSFailed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multitap.cli.doctor.findings import Fix, Level
    from multitap.cli.doctor.installation import Installation
    from multitap.config import Section

__all__ = (
    "examine_answers",
    "examine_keys",
    "examine_models",
    "named_models",
    "unlisted_models",
)


# ---- keys ----------------------------------------------------------------------------------------


def examine_keys(installation: Installation) -> Iterator[Finding]:
    """Is there a key where one is needed, and can it be read?"""
    for name, section in installation.looked_at.items():
        backend = installation.backend(name)
        if isinstance(backend, ConfigError):
            continue
        for key in keys_of(backend.auth):
            if isinstance(key, KeyHeader):
                yield from _unreadable(name, key)
            else:
                yield _missing(installation, section, key)


def _missing(installation: Installation, section: Section, key: MissingKey) -> Finding:
    withheld = bool(section.withheld or section.foreign)
    return Finding(
        id="key-withheld" if withheld else "key-missing",
        level="error" if installation.is_wanted(section.name) else "warning",
        subject=section.name,
        message=f"{section.name}: {key.message}",
        fix=Advice(key.hint),
        key=f"{section.name}.api_key",
    )


def _unreadable(name: str, key: KeyHeader) -> Iterator[Finding]:
    try:
        key.secret.reveal()
    except ConfigError as error:
        keyring = error.hint == KEYRING_HINT
        yield Finding(
            id="key-unreadable",
            level="error",
            subject=name,
            message=f"{name}: {error.message}",
            fix=Run(("pip", "install", "keyring")) if keyring else Advice(error.hint),
            key=f"{name}.api_key",
        )


# ---- answers -------------------------------------------------------------------------------------


def examine_answers(installation: Installation) -> Iterator[Finding]:
    """Does each backend answer, and as what it should be?"""
    for name in installation.looked_at:
        reply = (installation.replies or {}).get(name, Reply())
        if reply.error is not None:
            yield from _failed(installation, name, reply.error)
        elif reply.silent:
            message = f"{_titled(installation, name)} was not asked: {_why(installation, name)}"
            yield Finding(id="backend-skipped", level="info", subject=name, message=message)
        else:
            message = f"{_titled(installation, name)}: {_said(reply)}"
            yield Finding(id="backend", level="ok", subject=name, message=message)


def _why(installation: Installation, name: str) -> str:
    if installation.replies is None:
        return "--offline"
    return "its plugin has no way to" if installation.is_ready(name) else "it lacks something"


def _titled(installation: Installation, name: str) -> str:
    endpoint = installation.endpoint(name)
    if not endpoint:
        return f"{name} in this process"
    return f"{name} at {endpoint} (carrier {_way(installation.sections[name], endpoint)})"


def _way(section: Section, endpoint: str) -> str:
    try:
        return str(route_of(section, endpoint))
    except ConfigError as error:  # each call says the same
        return error.message


def _said(reply: Reply) -> str:
    """What a backend says of itself, in a line.

    >>> from multitap.cli.doctor.installation import Reply
    >>> _said(Reply(models=()))
    'it answers, with 0 models'
    """
    facts = reply.facts or Validation()
    left = None if facts.remaining is None else f"{facts.remaining:g} {facts.unit or ''} left"
    ends = None if facts.expires_at is None else f"the key ends {facts.expires_at:%Y-%m-%d}"
    count = len(reply.models) if reply.models is not None else facts.models
    models = None if count is None else f"with {count} model{'s' * (count != 1)}"
    return ", ".join(filter(None, [facts.server or "it answers", models, left, ends]))


def _failed(installation: Installation, name: str, error: MultitapError) -> Iterator[Finding]:
    if isinstance(error, PluginError):
        failed = {provider for _, provider in installation.registry.failures}
        if installation.sections[name].provider not in failed:  # else told with the plugins
            yield broken(error)
        return
    level: Level = "error" if installation.is_wanted(name) else "warning"
    yield Finding(
        id=_kind(error),
        level=level,
        subject=name,
        message=f"{_titled(installation, name)}: {error.message}",
        fix=_remedy(installation, name, error),
        key=f"{name}.endpoint",
    )


def _kind(error: MultitapError) -> str:
    if isinstance(error, AuthenticationError):
        return "key-refused"
    if isinstance(error, ProxyFailed):
        return "proxy-failed"
    if isinstance(error, TLSFailed):
        return "backend-insecure"
    if isinstance(error, Timeout):
        return "backend-slow"
    # a server that does not know the path of the catalog is another kind of server
    if isinstance(error, (BadRequest, ModelNotFound, NotSupported, ProtocolError)):
        return "backend-strange"
    return (
        "backend-unreachable"
        if isinstance(error, ProviderDown) and error.status is None
        else "backend-failing"
    )


def _remedy(installation: Installation, name: str, error: MultitapError) -> Fix:
    section = installation.sections[name]
    info = installation.providers[section.provider]
    docs = f"; see {info.docs}" if info.docs else ""
    kind = _kind(error)
    if kind == "backend-unreachable":
        title, here = info.title or name, is_loopback(installation.endpoint(name))
        step = f"start {title}" if here else f"see that {title} runs, and that the network is up"
        return Advice(f"{step}, or correct endpoint in [{name}] of llm.toml{docs}")
    if isinstance(error, BackendError) and error.kind == "wrong_server":
        return Advice(f"{error.hint.rstrip('.')}{docs}")
    if kind == "backend-strange":
        return Advice(
            f"is it {info.title or name} that answers there? Correct [{name}] in llm.toml{docs}"
        )
    return Advice(f"{error.hint.rstrip('.')}{docs}")


# ---- models --------------------------------------------------------------------------------------


def examine_models(installation: Installation) -> Iterator[Finding]:
    """Do the backends that answered have the models that the configuration names?"""
    for (backend, model), key in unlisted_models(installation).items():
        if (backend, model) not in installation.proven:
            yield Finding(
                id="model-missing",
                level="error",
                subject=f"{backend}:{model}",
                message=f"{backend} does not have the model {model!r}, which {key} names",
                fix=_other_model(installation, backend, model),
                key=key,
            )


def unlisted_models(installation: Installation) -> Mapping[tuple[str, str], str]:
    """Backend and model of what the configuration names and no list has, and the key of it."""
    found = {}
    for (backend, model), key in named_models(installation).items():
        reply = (installation.replies or {}).get(backend)
        if reply and reply.models is not None and not reply.error:
            ids = {listed.id for listed in reply.models}
            # a tag that is left out means the latest, where a backend has tags
            if not ids & {model, f"{model}:latest"}:
                found[backend, model] = key
    return found


def named_models(installation: Installation) -> Mapping[tuple[str, str], str]:
    """Backend and model of each reference that the configuration holds, and the key of it."""
    config = installation.config
    references = {f"aliases.{alias}": alias for alias in config.aliases}
    references |= {f"{n}.model": f"{n}:" for n, s in config.sections.items() if s.model}
    found: dict[tuple[str, str], str] = {}
    for key, reference in references.items():
        _note(installation, reference, key, found)
    if config.defaults.model:
        _note(installation, None, "defaults.model", found)
    return found


def _note(
    installation: Installation, reference: str | None, key: str, found: dict[tuple[str, str], str]
) -> None:
    try:
        target = installation.resolve(reference)
    except ConfigError:  # told with the configuration
        return
    if not target.how.endswith("path: references"):
        found[target.backend, target.model] = key


def _other_model(installation: Installation, backend: str, model: str) -> Fix:
    provider = installation.sections[backend].provider
    if "lifecycle" in installation.capabilities_of(provider):
        return Run(("multitap", "pull", f"{backend}:{model}"))
    replies = installation.replies or {}
    ids = [listed.id for listed in replies[backend].models or ()]
    near = get_close_matches(model, ids, n=3, cutoff=0.3) or ids[:3]
    return Advice(f"name one that it has: {', '.join(near) or 'it has none'}")
