"""Every error that Multitap raises, split by whose fault it is.

MultitapError
├── ConfigError              yours: ``llm.toml``, a reference, an argument   .file .line .key
├── PluginError              a plugin's: import, contract, a stage that raised   .distribution
├── LocalError               this machine's: disk, memory, a lost lease, a reader that does not read
└── BackendError             the backend's                .backend .model .status .kind .phase
    │                                                    .partial .attempts .request_id .retry_after
    ├── ProviderDown         not reachable, or it broke (5xx)                    retryable
    │   ├── TLSFailed        certificate refused
    │   └── ProxyFailed      the proxy is not there, or refuses
    ├── Timeout              a clock ran out                                     retryable
    │   └── DeadlineExceeded the clock of the whole call
    ├── RateLimited          429                                                 retryable
    ├── Overloaded           503, 529, a full queue, a model that is loading     retryable
    ├── QuotaExceeded        the account is spent
    ├── AuthenticationError  401, 403
    ├── ModelNotFound        no such model
    ├── BadRequest           400, 413, 422
    ├── ContextOverflow      the prompt is longer than the context               .limit .needed
    ├── NotSupported         the backend, or the model, cannot do this
    ├── Refused              the model declined
    ├── ContentFiltered      a filter stopped the answer
    ├── ProtocolError        the server broke its own format
    ├── TruncatedStream      the answer ended before its end                     retryable
    └── EngineError          an error inside a stream, a crashed engine          retryable

``retryable`` is as the class says, unless the server itself said otherwise (``x-should-retry``),
and counts only before the first semantic event. Facts are attributes; ``str(error)`` ends with what
to do next. No error shows a key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from multitap.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = (
    "AuthenticationError",
    "BackendError",
    "BadRequest",
    "ConfigError",
    "ContentFiltered",
    "ContextOverflow",
    "DeadlineExceeded",
    "EngineError",
    "LocalError",
    "ModelNotFound",
    "MultitapError",
    "NotSupported",
    "Overloaded",
    "PluginError",
    "ProtocolError",
    "ProviderDown",
    "ProxyFailed",
    "QuotaExceeded",
    "RateLimited",
    "Refused",
    "TLSFailed",
    "Timeout",
    "TruncatedStream",
    "error_from_dict",
)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class MultitapError(Exception):
    """The root of the tree.

    Args:
        message: What happened, one sentence.
        hint: What to do next, one sentence; each class has one of its own.
    """

    retryable: bool = False
    default_hint: ClassVar[str] = "See the documentation of this call."

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = redact(message)
        self.hint = redact(hint) if hint else self.default_hint
        super().__init__(self.message)

    def __str__(self) -> str:
        said = self.message.rstrip(". ")
        return f"{said}{'' if said.endswith(('?', '!')) else '.'} {self.hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.__dict__))


def _rebuild(cls: type[MultitapError], message: str, state: dict[str, Any]) -> MultitapError:
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error


class ConfigError(MultitapError):
    """Wrong configuration, an unknown backend or provider, a bad argument.

    Attributes:
        file: The file that is wrong, or ``None`` where it is no file.
        line: Its line, counted from 1; ``column`` only where the TOML parser gives it.
        key: The key, such as ``ollama.endpoint``.
        problems: Each of them as an error of its own, where it tells several at once.
    """

    default_hint = "Correct the value and try again."

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        key: str | None = None,
        problems: Sequence[ConfigError] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.line = line
        self.column = column
        self.key = key
        self.problems = tuple(problems)


class PluginError(MultitapError):
    """A plugin broke its contract: it could not be imported, or a stage of its own raised."""

    default_hint = "Update or remove the plugin: `pip install --upgrade` it, or `pip uninstall` it."

    def __init__(
        self, message: str, *, distribution: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.distribution = distribution
        self.partial: Any = None
        self.attempts: tuple[Any, ...] = ()


class LocalError(MultitapError):
    """This machine could not: no space, no memory, no permission; or its program did not.

    Attributes:
        kind: A finer name in snake case, such as ``descriptors``, or ``None``.
        partial: The answer so far, where the call had begun, or ``None``.
        attempts: Every attempt of the call.
    """

    default_hint = "Free the resource that the message names and try again."

    def __init__(self, message: str, *, hint: str | None = None, kind: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.partial: Any = None
        self.attempts: tuple[Any, ...] = ()


class BackendError(MultitapError):
    """What a backend did wrong, or refused.

    Attributes:
        backend: The backend's id, as in ``llm.toml``; ``None`` while unknown.
        model: The model's id, without the backend.
        status: The HTTP status, or ``None``.
        kind: A finer name in snake case, such as ``connect_timeout``.
        phase: ``queue, resolve, connect, tls, send, wait, stream, parse`` or ``local``.
        partial: The answer so far (an ``Answer``), or ``None``; of an embedding whose vectors are
            not those of its texts: the sound ones, by the index of their text.
        attempts: Every attempt of the call, the last one included.
        request_id: The server's own name of the request.
        retry_after: Seconds that the server asks to wait, or ``None``.
        texts: The indices of the texts that the failed request of an embedding had, or ``None``.
    """

    default_hint = "Check the backend and try again."

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        kind: str | None = None,
        phase: str | None = None,
        backend: str | None = None,
        model: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind or _snake_case(type(self).__name__)
        self.phase = phase
        self.backend = backend
        self.model = model
        self.status = status
        self.request_id = redact(request_id) if request_id else request_id
        self.retry_after = retry_after
        self.partial: Any = None
        self.attempts: tuple[Any, ...] = ()
        self.texts: range | None = None

    def __str__(self) -> str:
        return f"{self.backend}: {super().__str__()}" if self.backend else super().__str__()

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: facts only, neither the partial answer nor the attempts."""
        names = ("kind", "phase", "backend", "model", "status", "request_id", "retry_after")
        facts = {name: getattr(self, name) for name in (*names, *self._own_facts)}
        return {
            "class": type(self).__name__,
            "message": self.message,
            "hint": self.hint,
            "retryable": self.retryable,
            **{name: value for name, value in facts.items() if value is not None},
        }

    _own_facts: ClassVar[tuple[str, ...]] = ()


class ProviderDown(BackendError):
    """Not reachable, or it answered with a server error."""

    retryable = True
    default_hint = "Start the server, or check the endpoint in llm.toml."


class TLSFailed(ProviderDown):
    """The certificate was refused: untrusted, expired or for another host."""

    retryable = False
    default_hint = "Check the endpoint's certificate and the clock of this machine."


class ProxyFailed(ProviderDown):
    """The proxy is not there, or it refuses."""

    retryable = False
    default_hint = "Check the proxy's address and credentials."


class Timeout(BackendError):
    """A clock ran out: connecting, the first byte, silence in a stream."""

    retryable = True
    default_hint = "Is the server busy? Raise timeout_ms in llm.toml, or pass timeout=."


class DeadlineExceeded(Timeout):
    """The clock of the whole call ran out."""

    retryable = False
    default_hint = "Pass a longer timeout=, or ask for fewer tokens."


class RateLimited(BackendError):
    """Too many requests (429)."""

    retryable = True
    default_hint = "Wait, then send fewer requests at a time."


class Overloaded(BackendError):
    """Too busy, or still loading the model (503, 529)."""

    retryable = True
    default_hint = "Wait a little and try again."


class QuotaExceeded(BackendError):
    """The account has no credit left."""

    default_hint = "Add credit to the account, or use another backend."


class AuthenticationError(BackendError):
    """The key is missing, wrong, or not allowed to do this (401, 403)."""

    default_hint = "Set api_key in the backend's section of llm.toml."


class ModelNotFound(BackendError):
    """The backend has no such model."""

    default_hint = "Run `multitap models` to see what there is."


class BadRequest(BackendError):
    """The backend refused the request as it stands (400, 413, 422)."""

    default_hint = "Correct what the message names."


class ContextOverflow(BackendError):
    """The prompt is longer than the model's context.

    Attributes:
        limit: The context in tokens, or ``None`` if the backend does not say.
        needed: The prompt's length in tokens, or ``None``.
    """

    default_hint = "Shorten the prompt, or use a model with a longer context."
    _own_facts = ("limit", "needed")

    def __init__(
        self, message: str, *, limit: int | None = None, needed: int | None = None, **facts: Any
    ) -> None:
        super().__init__(message, **facts)
        self.limit = limit
        self.needed = needed


class NotSupported(BackendError):
    """The plugin, or the model, cannot do what was asked."""

    default_hint = "Run `multitap capabilities` to see who can."


class Refused(BackendError):
    """The model declined to answer; what it said is in ``partial``."""

    default_hint = "Ask in another way, or another model."


class ContentFiltered(BackendError):
    """A content filter ended the answer; what came before is in ``partial``."""

    default_hint = "Ask in another way, or change the filter of the account."


class ProtocolError(BackendError):
    """The server broke its own format, or a limit of ours."""

    default_hint = "Is this the right kind of server at this endpoint? Check provider and endpoint."


class TruncatedStream(BackendError):
    """The answer ended before its end; what came is in ``partial``."""

    retryable = True
    default_hint = "Try again; look at the server's log if it happens again."


class EngineError(BackendError):
    """The engine failed: an error inside a stream, or a crash."""

    retryable = True
    default_hint = "Look at the engine's log; try again with a smaller request."


def error_from_dict(data: Mapping[str, Any]) -> BackendError:
    """Rebuild an error from its JSON form; an unknown class becomes a plain ``BackendError``.

    >>> error_from_dict({"class": "RateLimited", "message": "Slow down", "status": 429}).retryable
    True
    """
    facts = {k: v for k, v in data.items() if k not in {"class", "message", "retryable"}}
    found = globals().get(str(data.get("class")))
    cls = found if isinstance(found, type) and issubclass(found, BackendError) else BackendError
    known = ("hint", "kind", "phase", "backend", "model", "status", "request_id", "retry_after")
    wanted = {k: facts[k] for k in (*known, *cls._own_facts) if k in facts}
    return cls(str(data.get("message", "")), **wanted)
