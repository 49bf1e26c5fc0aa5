"""The one loop of a call, pure: commit, error mapping, operations, filters, and other backends.

``Flow.run`` is a generator of commands (``commands.py``). An interpreter carries each out and sends
the result back, or throws the error that came of it; ``sync.py`` and ``aio.py`` are two, and the
tests have a third that needs no socket. What is tried how often is said in ``attempts.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from multitap.engine.attempts import Attempts
from multitap.engine.blocks import sha256_of
from multitap.engine.call import Call, EventFilter
from multitap.engine.commands import Done, Drop, Pour, Read, Send, Start, Steps, Switch, Take
from multitap.engine.faults import slow_consumer
from multitap.engine.refusals import (
    explained,
    is_web_page,
    media_type,
    misnamed,
    redirected,
    web_page,
)
from multitap.engine.trace import shown_headers
from multitap.errors import (
    BackendError,
    ContextOverflow,
    DeadlineExceeded,
    MultitapError,
    ProtocolError,
    Timeout,
    TruncatedStream,
)
from multitap.events import Failed, Stop
from multitap.framing import JsonDecoder
from multitap.headers import allowances, request_id
from multitap.policy.kept import MEASURED, KeptLimits
from multitap.policy.retry import Attempt
from multitap.work import (
    Digest,
    Exchange,
    Explain,
    Head,
    HttpCall,
    HttpReply,
    LocalExchange,
    Operation,
    Out,
    Sleep,
    Stage,
    Work,
)

__all__ = ("Flow",)

T = TypeVar("T")

LONGEST_REPLY = 64 * 1024 * 1024

_READ, _TAKE, _DONE, _DROP = Read(), Take(), Done(), Drop()


class Flow(Generic[T]):
    """The course of one call.

    ``request_id`` is the server's own name of the last request that it answered.
    """

    def __init__(self, call: Call[T]) -> None:
        self._call = call
        self._watch = call.watch
        self._filters: Sequence[EventFilter] = ()
        self._tries: Attempts[T] = Attempts(call, _loaded)
        self._kept = KeptLimits(call.limits)
        self._quiet_since: float | None = None
        self._ending: Done | Drop | BackendError | None = None
        self._complete = call.last is None
        self.request_id: str | None = None

    @property
    def attempts(self) -> list[Attempt]:
        """What was tried so far."""
        return self._tries.made

    def leave(self) -> None:
        """Let others have this call's turn; any thread, more than once."""
        self._tries.leave()

    def run(self) -> Steps[T]:
        """Commands until the call is over; its failure is raised after the last ``Out``."""
        if self._watch is not None:
            self._watch.call_started()
        try:
            while (other := (yield from self._here())) is not None:
                yield Switch(other)
                self._call = other
                self._tries.begin(other)
        except DeadlineExceeded as error:
            slow = slow_consumer(self._call.clocks) if self._tries.committed else None
            if slow is None:
                raise
            raise slow from error
        except MultitapError:
            raise
        except Exception as error:
            raise self._call.broken(error) from error

    def _here(self) -> Steps[T]:
        """The call at one backend; returns that at another one, where it is to go on there."""
        call = self._call
        if call.notices:
            yield Out(call.notices)
        try:
            yield from self._fitting(call.work)
        except BackendError as error:
            other = None
            if call.elsewhere is not None and not self._tries.committed:
                other = call.elsewhere(call.located(error))
            if other is None:
                raise
            return other
        return None

    def _fitting(self, work: Work[T]) -> Steps[T]:
        """The work, or once a shorter one in its place."""
        try:
            yield from self._work(work)
        except ContextOverflow as error:
            shorter = self._call.shorter
            found = shorter(error) if shorter is not None and not self._tries.committed else None
            if found is None:
                raise
        else:
            return
        yield Out(found[1])
        yield from self._work(found[0])

    def _work(self, work: Work[T]) -> Steps[T]:
        if isinstance(work, Exchange):
            attempt = partial(self._afresh, self._exchange, work)
            return self._tries.run(attempt, idempotent=_idempotent(work.call))
        if isinstance(work, LocalExchange):
            attempt = partial(self._afresh, self._local, work)
            return self._tries.run(attempt, idempotent=True)
        if isinstance(work, Operation):
            return self._afresh(self._operation, work)
        raise TypeError(f"{type(work).__name__} is no work")

    def _afresh(self, shape: Callable[[Any], Steps[T]], work: Work[T]) -> Steps[T]:
        """With filters that have seen nothing; an operation has the same ones to its end."""
        self._filters = self._call.filters()
        return shape(work)

    # ---- the three shapes ----------------------------------------------------------------------

    def _exchange(self, work: Exchange[T], *, more: bool = False) -> Steps[T]:
        """One exchange; ``more``: others may follow it."""
        head = yield from self._answered(work.call)
        self.request_id = request_id(head.headers)
        if head.status >= 300:
            raise (yield from self._refusal(head, work.explain))
        media = media_type(head)
        if is_web_page(media):
            raise web_page(bytes((yield from self._body(self._call.limits.error_bytes))))
        decoder = self._call.bounded(work.decoder(head))
        if notices := misnamed(self._call, media, decoder):
            yield Out(notices)
        yield from self._input(self._pouring(decoder))
        ending = self._ending or (yield from self._deliver(decoder.finish()))
        if ending is None:
            yield from self._unended(more=more)
        yield from self._left(ending or _DONE)

    def _pouring(self, decoder: Stage[bytes, T]) -> Pour[T]:
        def step(data: bytes) -> tuple[Sequence[T], bool]:
            items = decoder.feed(data)
            if items:
                self._quiet_since = None
            else:
                items = self._silence(decoder)
            results, self._ending = self._through(items)
            return results, self._ending is not None

        self._quiet_since = self._ending = None
        return Pour(step, self._call.idle)

    def _local(self, work: LocalExchange[T]) -> Steps[T]:
        yield Start(work.run)
        while (items := (yield from self._input(_TAKE))) is not None:
            if ending := (yield from self._deliver(items)):
                yield from self._left(ending)
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
            return (yield from self._tries.run(reply, idempotent=_idempotent(step))), False
        if isinstance(step, Out):
            return None, bool((yield from self._deliver(step.items)))
        if isinstance(step, Sleep):
            yield step
            return None, False
        if isinstance(step, Digest):
            return (yield from self._digest(step)), False
        exchange = partial(self._exchange, step, more=True)
        yield from self._tries.run(exchange, idempotent=_idempotent(step.call))
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
        if self._tries.ticket is not None and (told := allowances(head.headers)):
            self._tries.ticket.saw(told)
        if self._watch is not None and self._watch.traced:
            headers = shown_headers(self._call.backend, head.headers)
            self._watch.response_started(head.status, headers)
        return head

    # ---- answers -------------------------------------------------------------------------------

    def _input(self, command: Pour[T] | Take) -> Steps[T]:
        try:
            return (yield command)
        except BackendError as error:
            yield from self._deliver([Failed(self._call.located(error))])

    def _deliver(self, items: Sequence[T | Failed]) -> Steps[T]:
        """Hand over results; returns how to leave the attempt where they end the call."""
        items, ending = self._through(items)
        if items:
            yield Out(items)
        if isinstance(ending, BackendError):
            raise ending
        return ending

    def _left(self, ending: Done | Drop | BackendError) -> Steps[T]:
        if isinstance(ending, BackendError):
            raise ending
        yield ending

    def _through(
        self, items: Sequence[T | Failed]
    ) -> tuple[Sequence[Any], Done | Drop | BackendError | None]:
        """Results behind the filters, and what ends the call there: what a filter ends goes on."""
        came = items
        if not self._tries.committed and any(map(_semantic, items)):
            self._commit()
        for stage in self._filters:
            items = stage.feed(items)
        kinds = set(map(type, items))
        self._complete = self._complete or self._call.last in kinds
        if not kinds.isdisjoint(MEASURED):
            items = self._kept.checked(items)
            kinds = set(map(type, items))
        if Failed not in kinds and Stop not in kinds:
            return items, None
        items, error = _until_the_end(items)
        if error is not None or not items or not _terminal(items[-1]):
            return items, error
        return items, _DONE if any(map(_terminal, came)) else _DROP

    def _commit(self) -> None:
        """From here on nothing is tried again, whatever the filters still hold."""
        self._tries.committed = True
        if self._watch is not None:
            self._watch.result_came()

    def _silence(self, decoder: Stage[bytes, T]) -> Sequence[Failed]:
        """Bytes that say nothing: pings and comments prove that a proxy lives, not the model."""
        if isinstance(decoder, JsonDecoder):  # which says nothing before its end
            return ()
        clocks = self._call.clocks
        now = clocks.now()
        since = now if self._quiet_since is None else self._quiet_since
        self._quiet_since = since
        if now - since < clocks.progress:
            return ()
        message = f"The server sends signs of life, and nothing else, for {clocks.progress:g} s"
        return [Failed(Timeout(message, kind="stall_timeout", phase="stream"))]

    def _unended(self, *, more: bool = False) -> Steps[T]:
        if self._call.ends_with_stop or not (self._complete or more):
            error = TruncatedStream("The answer ended before its end", phase="stream")
            yield from self._deliver([Failed(error)])

    def _refusal(self, head: Head, explain: Explain) -> Steps[T]:
        if head.status < 400:
            return redirected(head)
        body = yield from self._body(self._call.limits.error_bytes)
        yield Done()
        return explained(self._call, head, bytes(body), explain)

    def _reply(self, call: HttpCall, explain: Explain) -> Steps[T]:
        head = yield from self._answered(call)
        if head.status >= 300:
            raise (yield from self._refusal(head, explain))
        limit = self._call.limits.body_bytes or LONGEST_REPLY
        body = yield from self._body(limit)
        yield Done()
        if len(body) > limit:
            raise ProtocolError(f"The reply is longer than {limit} bytes", kind="limit_exceeded")
        return HttpReply(head.status, head.headers, bytes(body))

    def _body(self, limit: int) -> Steps[T]:
        body = bytearray()
        while len(body) <= limit and (data := (yield _READ)):
            body += data
        return body


def _loaded(loading: Call[Any]) -> Steps[Any]:
    """Load the model; what is told of it is not for the caller."""
    steps = Flow(loading).run()
    resume: Callable[[Any], Any] = steps.send
    answer: Any = None
    while True:
        try:
            command = resume(answer)
        except StopIteration:
            return
        resume, answer = steps.send, None
        if type(command) is not Out:
            try:
                answer = yield _silent(command)
            except BackendError as error:
                resume, answer = steps.throw, error


def _silent(command: Any) -> Any:
    """The same command, of whose results nothing is given to the caller."""
    if type(command) is not Pour:
        return command

    def step(data: bytes) -> tuple[Sequence[Any], bool]:
        _, command.over = command.step(data)
        return (), command.over

    return Pour(step, command.idle)


def _idempotent(call: HttpCall) -> bool:
    if call.idempotent is not None:
        return call.idempotent
    return call.method.upper() in {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}


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
