"""A job of a Kiln: begun with one request, and asked for until it is done."""

from collections.abc import Callable, Generator
from typing import Any, TypeVar

import msgspec

from multitap.dialects.replies import class_for_status, reply_facts, reply_text
from multitap.errors import BackendError, ContextOverflow, EngineError, ModelNotFound, ProtocolError
from multitap.events import Usage
from multitap.work import HttpCall, HttpReply, Json, Out, Sleep, fetch

S = TypeVar("S")


class Begun(msgspec.Struct):
    job: str | None = None


class Used(msgspec.Struct, rename={"read": "in", "written": "out"}):
    read: int | None = None
    written: int | None = None


class Job(msgspec.Struct):
    state: str | None = None
    percent: int | None = None
    text: str | None = None
    vectors: list[list[float]] | None = None
    used: Used | None = None
    why: str | None = None

    @property
    def usage(self) -> Usage:
        used = self.used or Used()
        return Usage.reported(used.read, used.written)


class Refusal(msgspec.Struct):
    why: str | None = None
    lacks: str | None = None
    words: int | None = None
    most: int | None = None


def explain(reply: HttpReply) -> BackendError:
    """The typed error of a status of 400 and more."""
    try:
        said = msgspec.json.decode(reply.body, type=Refusal)
    except (ValueError, RecursionError):
        said = Refusal()
    facts = reply_facts(reply)
    why = said.why or reply_text(reply)
    if said.most is not None:
        return ContextOverflow(why, limit=said.most, needed=said.words, **facts)
    return class_for_status(reply.status)(why, **facts)


def read(reply: HttpReply, shape: type[S]) -> S:
    """The body as a struct."""
    try:
        return msgspec.json.decode(reply.body, type=shape)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"Kiln's answer cannot be read: {error}", phase="parse") from None


def finished(
    path: str, body: dict[str, Any], poll: float, tell: Callable[[Job], Out[Any]] | None = None
) -> Generator[Any, Any, Job]:
    """Begin a job and wait for it; ``tell`` makes of each new state what the caller is to see."""
    name = read((yield from fetch(HttpCall(method="POST", path=path, body=Json(body)))), Begun).job
    if not name:
        raise ProtocolError("Kiln took the job and did not say its name", phase="parse")
    told = None
    while True:
        try:
            reply = yield from fetch(HttpCall(method="GET", path=f"/jobs/{name}"))
        except ModelNotFound as error:
            raise EngineError(f"Kiln has lost its job: {error.message}", status=404) from None
        job = read(reply, Job)
        if job.state == "done":
            return job
        if job.state == "failed":
            raise EngineError(job.why or "Kiln's job failed, and it does not say why")
        if job.state not in ("queued", "firing"):
            raise ProtocolError(f"Kiln's job is in no state that is known: {job.state}")
        if tell is not None and (job.state, job.percent) != told:
            told = (job.state, job.percent)
            yield tell(job)
        wait = reply_facts(reply).get("retry_after")
        yield Sleep(poll if wait is None else wait)
