"""What every call to a loaded model has in common: find it, lease it, ask it, read its answer."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any, TypeVar
from urllib.parse import urlsplit

import attrs
import msgspec

from multitap.errors import EngineError
from multitap.work import Backend, Emit, LocalExchange
from multitap_llamacpp.engine import ENGINE, Loaded, Report, Stopped
from multitap_llamacpp.failures import failure, raised
from multitap_llamacpp.loading import Plan
from multitap_llamacpp.models import ModelFile, ModelFolder, Role
from multitap_llamacpp.options import Options

__all__ = ("Models", "ask", "ask_over_http", "one_result", "reporting")

T = TypeVar("T")
LONGEST_WAIT = 60.0


@attrs.frozen
class Models:
    """The models of one backend, to be leased."""

    folder: ModelFolder
    options: Options

    @classmethod
    def of(cls, backend: Backend) -> Models:
        """As the backend's settings say."""
        return cls(ModelFolder.of(backend), Options.of(backend))

    def find(self, model: str) -> ModelFile:
        """The model's file; its header is checked."""
        return self.folder.find(model)

    @contextmanager
    def lease(
        self, model: ModelFile, role: Role, report: Report, slots: int = 1
    ) -> Generator[Loaded, None, None]:
        """The loaded model and so many of its slots, for as long as the block lasts."""
        plan = Plan.of(model, role, self.options)
        with ENGINE.lease(plan, report) as loaded, loaded.slots(slots, report):
            yield loaded


def reporting(emit: Emit[T], event: Callable[[str, int, int], T]) -> Report:
    """A report that hands over an event for each news, and only asks where there is none."""
    last: tuple[str, int, int] | None = None

    def report(status: str, done: int, total: int) -> bool:
        nonlocal last
        before, last = last, (status, done, total)
        return emit([event(status, done, total)] if last != before else [])

    return report


def one_result(make: Callable[[Report], T]) -> LocalExchange[T]:
    """Work with one result; ``make`` gets a report that only asks whether anyone still waits."""

    def run(emit: Emit[T]) -> None:
        try:
            result = make(lambda _status, _done, _total: emit([]))
        except Stopped:
            return
        emit([result])

    return LocalExchange(run)


def ask(call: Callable[[dict[str, Any]], Any], body: dict[str, Any], model: str) -> dict[str, Any]:
    """The answer of one of the library's calls; an error in it, or raised by it, is raised."""
    try:
        answer: dict[str, Any] = call(body)
    except (RuntimeError, ValueError) as error:
        raise raised(error, model) from error
    return _checked(answer, model)


def ask_over_http(loaded: Loaded, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of something that the library offers on its loopback port alone."""
    place = urlsplit(loaded.address)
    connection = HTTPConnection(place.hostname or "127.0.0.1", place.port, timeout=LONGEST_WAIT)
    headers = {"Authorization": f"Bearer {loaded.key}", "Content-Type": "application/json"}
    try:
        connection.request("POST", path, msgspec.json.encode(body), headers)
        answer = msgspec.json.decode(connection.getresponse().read())
    except (OSError, HTTPException, msgspec.DecodeError) as error:
        raise EngineError(f"llama.cpp does not answer: {error}", phase="local") from error
    finally:
        connection.close()
    return _checked(answer, loaded.plan.model.id)


def _checked(answer: dict[str, Any], model: str) -> dict[str, Any]:
    error = answer.get("error")
    if isinstance(error, Mapping):
        raise failure(error, model)
    return answer
