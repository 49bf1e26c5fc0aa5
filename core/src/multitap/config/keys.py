"""Keys of a backend as ``Backend.auth``: in which headers they go, what is said of a missing one.

The key of a section and its secret settings follow one rule: what a project's file may not have is
withheld from an endpoint that the file names (see ``multitap.config.sections``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

import attrs

from multitap.config.secret import Secret
from multitap.config.sections import Section, key_for, secret_of
from multitap.config.sources import Entry, Problems, Source
from multitap.errors import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multitap.manifest import KeyInfo, Setting
    from multitap.work import HttpCall

__all__ = ("Auth", "KeyHeader", "KeyHeaders", "MissingKey", "auth_of", "keys_of")


@attrs.frozen(kw_only=True)
class KeyHeader:
    """``Backend.auth`` for a key in a header; a reference is followed at the first call."""

    header: str
    scheme: str
    secret: Secret

    def __call__(self, call: HttpCall, body: bytes, /) -> Mapping[str, str]:
        """The one header."""
        value = self.secret.reveal()
        return {self.header: f"{self.scheme} {value}" if self.scheme else value}

    def redact(self, text: str) -> str:
        """The text without the key, which a server may have sent back."""
        return self.secret.redact(text)


@attrs.frozen(kw_only=True)
class MissingKey:
    """``Backend.auth`` where a key is needed and there is none: all but calls work."""

    backend: str
    message: str
    hint: str

    def __call__(self, call: HttpCall, body: bytes, /) -> Mapping[str, str]:
        """Raise the ``AuthenticationError`` that says what to set."""
        raise AuthenticationError(
            self.message, hint=self.hint, kind="key_missing", phase="local", backend=self.backend
        )

    def redact(self, text: str) -> str:
        """The text as it is."""
        return text


@attrs.frozen
class KeyHeaders:
    """``Backend.auth`` for several keys."""

    parts: tuple[KeyHeader | MissingKey, ...]

    def __call__(self, call: HttpCall, body: bytes, /) -> Mapping[str, str]:
        """All their headers."""
        return {name: value for part in self.parts for name, value in part(call, body).items()}

    def redact(self, text: str) -> str:
        """The text without any of them."""
        for part in self.parts:
            text = part.redact(text)
        return text


Auth = Union[KeyHeader, MissingKey, KeyHeaders]


def keys_of(auth: object) -> tuple[KeyHeader | MissingKey, ...]:
    """The keys, there or missing, of a backend's ``auth``."""
    if isinstance(auth, KeyHeaders):
        return auth.parts
    return (auth,) if isinstance(auth, (KeyHeader, MissingKey)) else ()


def auth_of(
    section: Section, key: KeyInfo, secrets: Iterable[Setting], problems: Problems
) -> Auth | None:
    """What adds the section's key, and those of its settings that are secret, to a call."""
    found = {"api_key": _of_key(section, key)}
    found |= {setting.name: _of_setting(section, setting, problems) for setting in secrets}
    parts = {name: part for name, part in found.items() if part is not None}
    _check_headers(section, parts, problems)
    if len(parts) < 2:
        return next(iter(parts.values()), None)
    return KeyHeaders(tuple(parts.values()))


def _check_headers(
    section: Section, parts: Mapping[str, KeyHeader | MissingKey], problems: Problems
) -> None:
    seen: dict[str, str] = {}
    for name, part in parts.items():
        header = part.header.lower() if isinstance(part, KeyHeader) else name
        if header in seen:
            message = f"{seen[header]} and {name} in [{section.name}] go into the same header"
            source = section.sources.get(name, Source("code"))
            problems.add(message, source, key=f"{section.name}.{name}", hint="Remove one of them.")
        seen[header] = name


def _of_key(section: Section, key: KeyInfo) -> KeyHeader | MissingKey | None:
    secret = section.api_key or _from_variable(section, key.variable)
    if secret:
        return KeyHeader(header=key.header, scheme=key.scheme, secret=secret)
    if section.withheld and section.withheld.kind == "project":
        return _withheld_reference(section, section.withheld)
    return _missing(section, "a key", "api_key", key.variable) if key.required else None


def _of_setting(
    section: Section, setting: Setting, problems: Problems
) -> KeyHeader | MissingKey | None:
    entries = [entry for entry in section.entries if entry.key == setting.name]
    if not entries and setting.name in section.settings:  # a section that was made in code
        written = section.settings[setting.name]
        entries = [Entry((section.name, setting.name), written, Source("code"))]
    entry, withheld = key_for(section.foreign, entries, section.is_trusted)
    if entry is not None:
        secret = _checked(entry, section, setting, problems)
        if secret is None:
            return None
        return KeyHeader(header=setting.header, scheme=setting.scheme, secret=secret)
    if withheld and withheld.kind == "project":
        return _withheld_reference(section, withheld)
    return _missing(section, setting.name, setting.name) if setting.required else None


def _checked(entry: Entry, section: Section, setting: Setting, problems: Problems) -> Secret | None:
    secret = secret_of(entry, section.environ, problems)
    if secret is not None and secret.reference is None:
        try:
            setting.check(secret.reveal())
        except ValueError as error:
            message = f"{setting.name} in [{section.name}] {error}"
            problems.add(message, entry.source, key=".".join(entry.path), hint=setting.help or None)
    return secret


def _from_variable(section: Section, variable: str | None) -> Secret | None:
    """The user's key in the provider's own variable; not for an endpoint of a project's file."""
    if not variable or section.foreign or not section.environ.get(variable):
        return None
    return Secret(f"env:{variable}", environ=section.environ)


def _withheld_reference(section: Section, place: Source) -> MissingKey:
    return MissingKey(
        backend=section.name,
        message=(
            f"{place}: a project's file may not send a key from outside of it to an endpoint or "
            "proxy that it names"
        ),
        hint=f"If you trust it, set {_own_words(section)}.",
    )


def _own_words(section: Section) -> str:
    """The user's own words for an endpoint or a proxy, which are stronger than a project's file."""
    name = section.name.upper().replace("-", "_")
    keys = list(section.foreign) or ["endpoint"]
    return " and ".join(f"MULTITAP_{name}__{key.upper()} to that {key}" for key in keys)


def _missing(section: Section, what: str, key: str, variable: str | None = None) -> MissingKey:
    name = section.name
    places = f"Set {variable}, or {key}" if variable else f"Set {key}"
    hint = f"{places} in [{name}] of llm.toml."
    message = f"[{name}] needs {what} and has none"
    if section.foreign:
        named, source = next(iter(section.foreign.items()))
        message += f": its {named} stands in a project's file, {source}"
        hint = f"Set {key} in that file, or {_own_words(section)}; yours is not sent there."
    return MissingKey(backend=name, message=message, hint=hint)
