r"""What Ollama reports, as Multitap's errors.

Ollama's errors are a text, ``{"error": "…"}``, and its statuses are coarse: a wrong option is a
500, an unknown model in a pull is a line of a 200. So the text decides, by the table in
``multitap_ollama.meanings``, and the status only where no row knows the text. What the runner
behind it (llama.cpp) refuses comes as JSON inside that text, and is taken out of it.

>>> from multitap.work import HttpReply
>>> explain_ollama(HttpReply(404, {}, b'{"error": "model \'tiny\' not found"}')).hint
'Run `multitap pull ollama:tiny`; `multitap models ollama` shows what is there.'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from multitap.dialects.replies import (
    class_for_status,
    reply_facts,
    reply_json,
    reply_text,
    says_no_path,
    told,
)
from multitap.errors import (
    AuthenticationError,
    BackendError,
    ContextOverflow,
    EngineError,
    ModelNotFound,
)
from multitap.excerpt import excerpt
from multitap_ollama.meanings import MEANINGS, NO_SUCH_PATH

if TYPE_CHECKING:
    from multitap.work import HttpReply
    from multitap_ollama.meanings import Meaning

__all__ = ("explain_ollama", "line_error")

_HOST = (
    "Use an IP address or localhost in the endpoint, or let Ollama listen on all addresses:"
    " OLLAMA_HOST=0.0.0.0 where it runs (and OLLAMA_ORIGINS for browsers)."
)
_LAYERS = 4  # of JSON within a text within JSON; the wire has two


def explain_ollama(reply: HttpReply, *, backend: str = "ollama") -> BackendError:
    """The typed error of a 4xx or 5xx answer: a text in JSON, plain text, or nothing at all.

    Args:
        reply: The answer.
        backend: The backend's id, for the commands that a hint names.
    """
    facts = reply_facts(reply)
    body = reply_json(reply)
    if reply.status == 403 and not reply.body:
        message = "Ollama refused the request because of its Host or Origin header"
        return AuthenticationError(message, hint=_HOST, kind="host_refused", **facts)
    sign_in = body.get("signin_url") if isinstance(body, dict) else None
    said = reply_text(reply) if reply.body else ""
    text = _innermost(body) if isinstance(body, dict) else said
    if sign_in:
        return _sign_in(text, sign_in, facts)
    return _error(text, class_for_status(reply.status), backend, facts)


def line_error(
    error: object, *, backend: str = "ollama", signin_url: str | None = None
) -> BackendError:
    """The typed error of ``{"error": …}`` inside an answer that began with status 200.

    >>> line_error("an error was encountered while running the model: unexpected EOF").kind
    'runner_crashed'
    """
    text, facts = _innermost(error), {"phase": "stream"}
    if signin_url:
        return _sign_in(text, signin_url, facts)
    return _error(text, EngineError, backend, facts)


def _innermost(error: object) -> str:
    """The text itself; a runner's JSON, and OpenAI's form of ``/v1``, are taken apart."""
    for _ in range(_LAYERS):
        if isinstance(error, dict):
            error = error.get("error") or error.get("message")
        elif isinstance(error, str) and error.lstrip().startswith("{"):
            error = _json(error) or error
    return error if isinstance(error, str) else ""


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None


def _error(
    text: str, otherwise: type[BackendError], backend: str, facts: dict[str, Any]
) -> BackendError:
    message = told(text) or "Ollama reports an error and does not say which"
    if otherwise is ModelNotFound and says_no_path(told(text)):
        text = NO_SUCH_PATH
    for meaning in MEANINGS:
        found = meaning.says.search(text)
        if found:
            return _meant(meaning, message, {**found.groupdict(), "backend": backend}, facts)
    return otherwise(message, **facts)


def _meant(
    meaning: Meaning, message: str, said: dict[str, str], facts: dict[str, Any]
) -> BackendError:
    hint = meaning.hint.format_map({name: excerpt(value) for name, value in said.items()})
    known: dict[str, Any] = {**facts, "hint": hint, "kind": meaning.kind}
    if issubclass(meaning.error, ContextOverflow):
        tokens = {n: int(said[n]) for n in ("limit", "needed") if 0 < len(said.get(n, "")) < 19}
        return meaning.error(message, **tokens, **known)
    return meaning.error(message, **known)


def _sign_in(text: str, url: object, facts: dict[str, Any]) -> BackendError:
    hint = f"Sign in with `ollama signin` where Ollama runs, or at {excerpt(str(url), 500)}"
    message = excerpt(text, 500) or "Ollama wants an account for this model"
    return AuthenticationError(message, hint=hint, kind="sign_in", **facts)
