"""One call, ready for the engine: what to do, for whom, and under which rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import attrs

from multitap.answer import stop_reason_of
from multitap.engine.trace import cleaner
from multitap.engine.watch import Watch
from multitap.errors import BackendError, ContextOverflow, MultitapError, PluginError
from multitap.framing.decoder import Decoder
from multitap.policy.admission import Admission
from multitap.policy.clocks import Clocks, Limits
from multitap.policy.retry import Retries, Retry
from multitap.prices import Pricing
from multitap.redaction import redact_bytes, scrub
from multitap.work import Backend, HttpReply, Stage, Work

__all__ = ("Call", "EventFilter")

T = TypeVar("T")
M = TypeVar("M", bound=MultitapError)
EventFilter = Stage[Sequence[Any], Any]


@attrs.define(kw_only=True, eq=False)  # to make a frozen one takes three times as long
class Call(Generic[T]):
    """What the flow needs to know of one call.

    Attributes:
        notices: Warnings to give before anything else.
        filters: Makes the filters of one attempt, in order.
        ends_with_stop: The results are events, and without a ``Stop`` the answer was cut.
        last: The class of the result without which the work was cut; ``None``: there is no such.
        streamed: The caller reads as it comes, so a lost first attempt is not billed work.
        idle: Seconds of silence that the next read bears; ``None``: the clocks say it.
        retrying: What to give while a failed attempt waits for the next one.
        shorter: What to do, once, in place of work whose prompt the server finds too long, and what
            to give before it; ``None``: nothing can be done.
        noticed: Told of the error of each attempt.
        admission: Says whose turn it is; ``None``: this call waits for nobody.
        force: Ask a backend that is known to be down.
        idempotent: It may run twice, so it is tried again though it may have run.
        cost: An estimate of its tokens.
        load: Makes the call that loads the model, for a server that has unloaded it.
        elsewhere: The same call for another backend, where this one failed with such an error.
        watch: Tells the observers; ``None``: there are none.
        pricing: What the model's tokens cost, where it is known.
        schema: The JSON Schema that the answer is to keep to.
        told: The media types that a call of this backend was warned of.
    """

    backend: Backend
    model: str
    distribution: str
    work: Work[T]
    notices: Sequence[T] = ()
    filters: Callable[[], Sequence[EventFilter]] = tuple
    ends_with_stop: bool = False
    last: type[Any] | None = None
    streamed: bool = True
    pricing: Pricing | None = None
    schema: Mapping[str, Any] | None = None
    clocks: Clocks = attrs.field(factory=Clocks)
    limits: Limits = attrs.field(factory=Limits)
    told: set[str] = attrs.field(factory=set)
    admission: Admission | None = None
    force: bool = False
    idempotent: bool = False
    cost: Callable[[], float] | None = None
    load: Callable[[], Call[Any] | None] | None = None
    elsewhere: Callable[[BackendError], Call[T] | None] | None = None
    retry: Retries = attrs.field(factory=Retry)
    idle: Callable[[], float] | None = None
    retrying: Callable[[BackendError, float], Sequence[T]] | None = None
    shorter: Callable[[ContextOverflow], tuple[Work[T], Sequence[T]] | None] | None = None
    noticed: Callable[[BackendError], None] | None = None
    watch: Watch | None = None

    def bounded(self, decoder: Stage[bytes, T]) -> Stage[bytes, T]:
        """The decoder of an attempt, with the limits that were asked for."""
        record, body = self.limits.record_bytes, self.limits.body_bytes
        if (record or body) and isinstance(decoder, Decoder):
            decoder.bound(record=record, body=body)
        return decoder

    def described(self, describe: Callable[[], Work[T]]) -> Call[T]:
        """This new call with the work that the plugin describes; what it raises is located."""
        try:
            self.work = describe()
        except BackendError as error:
            self._refused(self.located(error))
            raise
        except MultitapError as error:
            scrub(error, cleaner(self.backend))
            self._refused(error)
            raise
        except Exception as error:
            raise self._refused(self.broken(error)) from error
        return self

    def _refused(self, error: M) -> M:
        """The observers are told of a call that ends before its first attempt."""
        if self.watch is not None:
            self.watch.call_started()
            self.watch.call_ended(error, stop_reason=stop_reason_of(error))
        return error

    def located(self, error: BackendError) -> BackendError:
        """The error with the names of backend and model; it shows no key, nor does its cause."""
        error.backend = error.backend or self.backend.id
        error.model = error.model or self.model or None
        clean = cleaner(self.backend)
        error.request_id = error.request_id and clean(error.request_id)
        scrub(error, clean)
        return error

    def shown(self, reply: HttpReply) -> HttpReply:
        """A refusal without keys, so that whoever quotes it can cut it anywhere."""
        clean = cleaner(self.backend)
        headers = {name: clean(value) for name, value in reply.headers.items()}
        return HttpReply(reply.status, headers, redact_bytes(reply.body, clean))

    def broken(self, error: Exception) -> PluginError:
        """The plugin's own code raised."""
        clean = cleaner(self.backend)
        scrub(error, clean)
        text = clean(f"{type(error).__name__}: {error}")
        return PluginError(
            f"The plugin of {self.backend.provider!r} failed with {text}",
            distribution=self.distribution,
            hint=f"Update it: `pip install --upgrade {self.distribution}`; or report the fault."
            if self.distribution
            else f"Correct what was added as {self.backend.provider}.",
        )
