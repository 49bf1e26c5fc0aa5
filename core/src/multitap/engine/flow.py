"""The one loop of a call, pure: attempts, commit, error mapping, operations and filters.

``Flow.run`` is a generator of commands. An interpreter carries each out and sends the result back,
or throws the error that came of it; ``sync.py`` and ``aio.py`` are two, and the tests have a third
that needs no socket.

==========  ==========================================  ==============================
command     what to do                                  what to send back
==========  ==========================================  ==============================
``Send``    connect, send, wait for the head            ``Head``
``Read``    wait for bytes                              ``bytes``; ``b""`` at the end
``Start``   begin local work
``Take``    wait for results of the local work          the results; ``None`` at the end
``Done``    drain what is left, keep the connection
``Drop``    abort the connection, or the local work
``Sleep``   wait
``Out``     give the results to the caller
==========  ==========================================  ==============================
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from itertools import count
from typing import Any, Generic, TypeVar, Union
from urllib.parse import urlsplit

import attrs

from multitap.engine.blocks import sha256_of
from multitap.engine.call import Call, EventFilter
from multitap.engine.trace import shown_headers
from multitap.errors import (
    BackendError,
    ContextOverflow,
    MultitapError,
    ProtocolError,
    TruncatedStream,
)
from multitap.events import Failed, Stop
from multitap.headers import request_id, retry_after
from multitap.policy.retry import Attempt
from multitap.work import (
    Digest,
    Emit,
    Exchange,
    Explain,
    Head,
    HttpCall,
    HttpReply,
    LocalExchange,
    Operation,
    Out,
    Sleep,
    Work,
)

__all__ = ("Command", "Done", "Drop", "Flow", "Read", "Send", "Start", "Take")

T = TypeVar("T")

LONGEST_ERROR_BODY = 64 * 1024
LONGEST_REPLY = 64 * 1024 * 1024
MAY_HAVE_RUN = frozenset({"first_byte_timeout", "connection_lost", "gateway_timeout"})


@attrs.frozen
class Send:
    """Send a request."""

    call: HttpCall


@attrs.frozen
class Read:
    """Read some of the answer; ``idle``: the seconds of silence to bear, if not the clocks'."""

    idle: float | None = None


@attrs.frozen
class Start(Generic[T]):
    """Begin local work."""

    run: Callable[[Emit[T]], None]


@attrs.frozen
class Take:
    """Take results of the local work."""


@attrs.frozen
class Done:
    """The answer is whole."""


@attrs.frozen
class Drop:
    """Give up this attempt."""


_READ, _TAKE, _DONE, _DROP = Read(), Take(), Done(), Drop()

Command = Union[Send, Read, Start[T], Take, Done, Drop, Sleep, Out[T]]
Steps = Generator[Command[T], Any, Any]


class Flow(Generic[T]):
    """The course of one call; ``attempts`` grows as they are made.

    ``request_id`` is the server's own name of the last request that it answered.
    """

    def __init__(self, call: Call[T]) -> None:
        self._call = call
        self._watch = call.watch
        self._filters: Sequence[EventFilter] = ()
        self._committed = False
        self._complete = call.last is None
        self.attempts: list[Attempt] = []
        self.request_id: str | None = None

    def run(self) -> Steps[T]:
        """Commands until the call is over; its failure is raised after the last ``Out``."""
        if self._watch is not None:
            self._watch.call_started()
        if self._call.notices:
            yield Out(self._call.notices)
        try:
            yield from self._fitting(self._call.work)
        except MultitapError:
            raise
        except Exception as error:
            raise self._call.broken(error) from error

    def _fitting(self, work: Work[T]) -> Steps[T]:
        """The work, or once a shorter one in its place."""
        try:
            yield from self._work(work)
        except ContextOverflow as error:
            shorter = self._call.shorter
            found = shorter(error) if shorter is not None and not self._committed else None
            if found is None:
                raise
        else:
            return
        yield Out(found[1])
        yield from self._work(found[0])

    def _work(self, work: Work[T]) -> Steps[T]:
        if isinstance(work, Operation):
            yield from self._afresh(self._operation, work)
        elif isinstance(work, LocalExchange):
            attempt = partial(self._afresh, self._local, work)
            yield from self._retried(attempt, idempotent=True)
        elif isinstance(work, Exchange):
            attempt = partial(self._afresh, self._exchange, work)
            yield from self._retried(attempt, _idempotent(work.call))
        else:
            raise TypeError(f"{type(work).__name__} is no work")

    # ---- attempts ------------------------------------------------------------------------------

    def _afresh(self, shape: Callable[[Any], Steps[T]], work: Work[T]) -> Steps[T]:
        """With filters that have seen nothing; an operation has the same ones to its end."""
        self._filters = self._call.filters()
        yield from shape(work)

    def _retried(self, attempt: Callable[[], Steps[T]], idempotent: bool) -> Steps[T]:
        for number in count(1):
            if self._watch is not None:
                self._watch.attempt_started(number)
            try:
                result = yield from attempt()
            except BackendError as error:
                self._call.located(error)
                if self._call.noticed is not None:
                    self._call.noticed(error)
                yield Drop()
                delay = self._delay(error, number, idempotent)
                self._ended(Attempt(number, error, delay))
                if delay is None:
                    raise
                if self._call.retrying is not None:
                    yield Out(self._call.retrying(error, delay))
                yield Sleep(delay)
            else:
                self._call.retry.succeeded()
                self._ended(Attempt(number))
                return result

    def _ended(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        if self._watch is not None:
            self._watch.attempt_ended(attempt)

    def _delay(self, error: BackendError, number: int, idempotent: bool) -> float | None:
        harmless = idempotent or self._call.streamed or error.kind not in MAY_HAVE_RUN
        if self._committed or not harmless:
            return None
        return self._call.retry.delay(error, number, self._call.clocks.deadline)

    # ---- the three shapes ----------------------------------------------------------------------

    def _exchange(self, work: Exchange[T], *, more: bool = False) -> Steps[T]:
        """One exchange; ``more``: others may follow it."""
        head = yield from self._answered(work.call)
        self.request_id = request_id(head.headers)
        if head.status >= 300:
            raise (yield from self._refusal(head, work.explain))
        decoder = work.decoder(head)
        while data := (yield from self._input(self._read())):
            if ending := (yield from self._deliver(decoder.feed(data))):
                yield ending
                return
        if not (yield from self._deliver(decoder.finish())):
            yield from self._unended(more=more)
        yield Done()

    def _local(self, work: LocalExchange[T]) -> Steps[T]:
        yield Start(work.run)
        while (items := (yield from self._input(_TAKE))) is not None:
            if ending := (yield from self._deliver(items)):
                yield ending
                return
        yield from self._unended()

    def _operation(self, work: Operation[T]) -> Steps[T]:
        steps, ended = work.steps(), False
        outcome: Any = None
        try:
            while not ended:
                resume = steps.throw if isinstance(outcome, BackendError) else steps.send
                step = resume(outcome)
                try:
                    outcome, ended = yield from self._step(step, work.explain)
                except BackendError as error:
                    outcome = error
        except StopIteration:
            yield from self._unended()
        except BackendError as error:
            yield from self._deliver([Failed(self._call.located(error))])
            raise
        finally:
            steps.close()

    def _step(self, step: Any, explain: Explain) -> Steps[T]:
        """Returns what the step is sent back, and whether the call is over."""
        if isinstance(step, HttpCall):
            reply = partial(self._reply, step, explain)
            return (yield from self._retried(reply, _idempotent(step))), False
        if isinstance(step, Out):
            return None, bool((yield from self._deliver(step.items)))
        if isinstance(step, Sleep):
            yield step
            return None, False
        if isinstance(step, Digest):
            return (yield from self._digest(step)), False
        yield from self._retried(partial(self._exchange, step, more=True), _idempotent(step.call))
        return None, self._call.ends_with_stop

    def _digest(self, step: Digest) -> Steps[T]:
        yield Start(sha256_of(step.path))  # type: ignore[arg-type]  # its results stay here
        found: Sequence[Any] = ()
        while (results := (yield _TAKE)) is not None:
            found = results
        yield Done()
        return found[0] if found else ""

    def _answered(self, call: HttpCall) -> Steps[T]:
        head: Head = yield Send(call)
        if self._watch is not None and self._watch.traced:
            headers = shown_headers(self._call.backend, head.headers)
            self._watch.response_started(head.status, headers)
        return head

    # ---- answers -------------------------------------------------------------------------------

    def _read(self) -> Read:
        idle = self._call.idle
        return _READ if idle is None else Read(idle())

    def _input(self, command: Read | Take) -> Steps[T]:
        try:
            return (yield command)
        except BackendError as error:
            yield from self._deliver([Failed(self._call.located(error))])

    def _deliver(self, items: Sequence[T | Failed]) -> Steps[T]:
        """Hand over results through the filters.

        Returns how to leave the attempt where they end the call: what a filter has ended goes on.
        """
        came = items
        if not self._committed and any(map(_semantic, items)):
            self._commit()
        for stage in self._filters:
            items = stage.feed(items)
        kinds = set(map(type, items))
        self._complete = self._complete or self._call.last in kinds
        error = None
        if Failed in kinds or Stop in kinds:
            items, error = _until_the_end(items)
        if items:
            yield Out(items)
        if error is not None:
            raise error
        if not items or not _terminal(items[-1]):
            return None
        return _DONE if any(map(_terminal, came)) else _DROP

    def _commit(self) -> None:
        """From here on nothing is tried again, whatever the filters still hold."""
        self._committed = True
        if self._watch is not None:
            self._watch.result_came()

    def _unended(self, *, more: bool = False) -> Steps[T]:
        if self._call.ends_with_stop or not (self._complete or more):
            error = TruncatedStream("The answer ended before its end", phase="stream")
            yield from self._deliver([Failed(error)])

    def _refusal(self, head: Head, explain: Explain) -> Steps[T]:
        if head.status < 400:
            return _redirect(head)
        body = yield from self._body(LONGEST_ERROR_BODY)
        yield Done()
        reply = self._call.shown(HttpReply(head.status, head.headers, bytes(body)))
        error = explain(attrs.evolve(reply, body=reply.body[:LONGEST_ERROR_BODY]))
        if not isinstance(error, BackendError):
            raise TypeError(f"explain returned {error!r}, which is no BackendError")
        error.status = error.status or head.status
        error.request_id = error.request_id or request_id(head.headers)
        if error.retry_after is None:
            error.retry_after = retry_after(head.headers)
        return error

    def _reply(self, call: HttpCall, explain: Explain) -> Steps[T]:
        head = yield from self._answered(call)
        if head.status >= 300:
            raise (yield from self._refusal(head, explain))
        body = yield from self._body(LONGEST_REPLY)
        yield Done()
        if len(body) > LONGEST_REPLY:
            raise ProtocolError("The reply is longer than 64 MiB", kind="limit_exceeded")
        return HttpReply(head.status, head.headers, bytes(body))

    def _body(self, limit: int) -> Steps[T]:
        body = bytearray()
        while len(body) <= limit and (data := (yield _READ)):
            body += data
        return body


def _idempotent(call: HttpCall) -> bool:
    by_method = call.method.upper() in {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}
    return by_method if call.idempotent is None else call.idempotent


def _semantic(item: object) -> bool:
    return getattr(item, "semantic", True)


def _terminal(item: object) -> bool:
    return isinstance(item, Stop) and not item.choice


def _until_the_end(items: Sequence[Any]) -> tuple[Sequence[Any], BackendError | None]:
    """What comes before a failure, or up to the last choice's stop; nothing follows either."""
    for place, item in enumerate(items):
        if isinstance(item, Failed):
            return items[:place], item.error
        if _terminal(item):
            return items[: place + 1], None
    return items, None


def _redirect(head: Head) -> ProtocolError:
    target = urlsplit(head.headers.get("location", "")).hostname or "another path"
    return ProtocolError(
        f"The server redirects to {target}",
        hint="Redirects are not followed; put the right address into endpoint in llm.toml.",
        kind="redirect_refused",
        status=head.status,
    )
