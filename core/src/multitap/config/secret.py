"""Keys: a value, or a reference that is followed at its first use, and never shown."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from multitap.errors import ConfigError
from multitap.redaction import conceal, redact

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("KEYRING_HINT", "Secret", "is_reference")

KEYRING_HINT = "Run `pip install 'multitap[keyring]'`."
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_reference(text: str) -> bool:
    """Does it say where a key is, instead of being one?

    >>> is_reference("env:ACME_API_KEY"), is_reference("sk-1234")
    (True, False)
    """
    return text.strip().startswith(("env:", "file:", "keyring:"))


class Secret:
    """A key: a plain value, or ``env:NAME``, ``file:PATH``, ``keyring:NAME``.

    Args:
        text: The value or the reference, as it stands in ``llm.toml``.
        environ: Where ``env:`` looks; the process's environment by default.
        folder: What a relative ``file:`` path starts from; the working directory by default.
        key: What it is called in ``llm.toml``, for errors.

    Raises:
        ConfigError: The reference names nothing that could exist.

    >>> key = Secret("sk-1234")
    >>> key, key.reveal(), key.redact("sent sk-1234")
    (Secret(***), 'sk-1234', 'sent ***')
    """

    __slots__ = ("_environ", "_folder", "_key", "_text", "_value")

    def __init__(
        self,
        text: str,
        *,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        key: str = "api_key",
    ) -> None:
        self._text = text.strip()
        self._key = key
        self._environ = os.environ if environ is None else environ
        self._folder = folder or Path()
        self._value: str | None = None
        if self.reference is None:
            self._value = _sendable(self._text, key)
            conceal(self._value)
        elif not self._name:
            raise ConfigError(f"{key}: nothing stands after '{self._scheme}:'")
        elif self._scheme == "env" and not _VARIABLE.fullmatch(self._name):
            raise ConfigError(f"{key}: what stands after 'env:' is no name of a variable")
        elif self._scheme == "env":  # others may show it before it is used here
            conceal(self._environ.get(self._name, "").strip())

    def __repr__(self) -> str:
        return f"Secret({self.reference or '***'})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("A Secret cannot be pickled: write down where the key is, such as env:NAME")

    @property
    def reference(self) -> str | None:
        """Where the value is, such as ``env:ACME_API_KEY``; ``None`` for a plain value."""
        return self._text if is_reference(self._text) else None

    @property
    def _scheme(self) -> str:
        return self._text.partition(":")[0]

    @property
    def _name(self) -> str:
        return self._text.partition(":")[2].strip()

    def reveal(self) -> str:
        """The value itself; a reference is followed once and then remembered.

        Raises:
            ConfigError: There is nothing where the reference points.
        """
        if self._value is None:
            found = getattr(self, f"_from_{self._scheme}")()
            self._value = _sendable(found.strip(), str(self.reference))
            conceal(self._value)
        return self._value

    def redact(self, text: str) -> str:
        """The text with ``***`` wherever the value occurs, in any usual spelling."""
        try:
            return redact(text, self.reveal())
        except ConfigError:
            return redact(text)

    def _from_env(self) -> str:
        try:
            return self._environ[self._name]
        except KeyError:
            hint = f"Set the environment variable {self._name}."
            raise ConfigError(f"{self._key}: {self.reference} is not set", hint=hint) from None

    def _from_file(self) -> str:
        try:
            return (self._folder / Path(self._name).expanduser()).read_text("utf-8")
        except (OSError, RuntimeError, ValueError) as error:
            reason = type(error).__name__
            hint = "Write the key, and nothing else, into that file."
            message = f"{self._key}: {self.reference} cannot be read ({reason})"
            raise ConfigError(message, hint=hint) from None

    def _from_keyring(self) -> str:
        try:
            keyring: Any = import_module("keyring")
        except ImportError:
            message = f"{self._key}: {self.reference} needs the package keyring"
            raise ConfigError(message, hint=KEYRING_HINT) from None
        try:
            found = keyring.get_password("multitap", self._name)
        except Exception as error:  # each of its many stores has errors of its own
            message = f"{self._key}: {self.reference} cannot be read ({type(error).__name__})"
            raise ConfigError(message, hint="Unlock the keyring and try again.") from None
        if found is None:
            hint = f"Run `keyring set multitap {self._name}`."
            raise ConfigError(f"{self._key}: {self.reference} is not in the keyring", hint=hint)
        return str(found)


def _sendable(value: str, origin: str) -> str:
    """The value, which has to fit into a header: one line of printable ASCII."""
    if not value:
        raise ConfigError(f"{origin} is empty", hint="Give it a key, or remove it.")
    if not (value.isascii() and value.isprintable()):
        message = f"{origin} holds characters that no key can have"
        raise ConfigError(message, hint="Put the key alone there, on one line.")
    return value
