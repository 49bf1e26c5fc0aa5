"""What a plugin sends: which texts, numbers and files are in its requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import attrs

from multitap.errors import BadRequest, NotSupported
from multitap.testing.finding import Finding
from multitap.testing.kit.playing import Played, recorded
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.vector import Vector
from multitap.testing.kit.wire import question_of, replayed, shown
from multitap.work import File, HttpCall, Json, Multipart

__all__ = ("assert_option_is_heard", "assert_sends", "assert_sends_file")


def assert_sends(suite: Suite, played: Played, texts: Iterable[str], smallest: object) -> None:
    """A ``Finding`` names the text that is in none of the requests, as it is."""
    values = list(_values(suite, played.calls))
    for text in texts:
        if not any(text in value for value in values):
            came = [value[:200] for value in values]
            raise Finding(came, expected=f"{text!r} in a request", smallest=smallest)


def assert_sends_file(suite: Suite, played: Played, content: bytes, smallest: object) -> None:
    """A ``Finding`` unless a request has these bytes, in a form, alone, or as base64."""
    from base64 import b64encode

    encoded = b64encode(content).decode("ascii")
    files = list(_files(played.calls))
    values = _values(suite, played.calls)
    if content not in files and not any(encoded in value for value in values):
        came = [f"{len(file)} bytes: {file[:40]!r}" for file in files] or "no file"
        raise Finding(came, expected=f"the {len(content)} bytes of the file", smallest=smallest)


def assert_option_is_heard(suite: Suite, vector: Vector, name: str, value: Any) -> None:
    """A ``Finding`` where an option changes no request, is not refused, and is not told of."""
    question = question_of(suite, vector, **{name: value})
    came = question.play(recorded(vector))
    refused = isinstance(came.failure, (NotSupported, BadRequest))
    notices = () if isinstance(question.call, Exception) else question.call.notices
    told = any(getattr(notice, "option", None) == name for notice in notices)
    options = {known: asked for known, asked in vector.ask.options.items() if known != name}
    ask = attrs.evolve(vector.ask, options=options)
    without = replayed(suite, attrs.evolve(vector, ask=ask))
    sent, plain = list(_values(suite, came.calls)), list(_values(suite, without.calls))
    if not (refused or told) and sent == plain:
        raise Finding(
            "the requests are the same with it and without it"
            + (f"; {shown(came.failure)}" if came.failure else ""),
            expected=f"{name} in a request, NotSupported, or a warning that names it",
            smallest=f"{vector} with {name}={value!r}",
        )


# ---- what is in a request ------------------------------------------------------------------------


def _values(suite: Suite, calls: Sequence[HttpCall]) -> Iterator[str]:
    """Every text and number, as text; names of fields are none of them."""
    for call in calls:
        yield unquote(call.path)
        body = call.body
        if isinstance(body, Json):
            yield from _texts(body.value)
        elif isinstance(body, Multipart):
            yield from body.fields.values()
        elif isinstance(body, bytes):
            yield from _texts(suite.read_request(body) if body else None)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    elif value is not None:
        yield str(value)


def _files(calls: Sequence[HttpCall]) -> Iterator[bytes]:
    for call in calls:
        found: Iterable[Any] = ()
        if isinstance(call.body, File):
            found = (call.body,)
        elif isinstance(call.body, Multipart):
            found = call.body.files.values()
        elif isinstance(call.body, bytes):
            yield call.body
        for files in found:
            for file in (files,) if isinstance(files, File) else files:
                source = file.source
                yield source if isinstance(source, bytes) else Path(source).read_bytes()
