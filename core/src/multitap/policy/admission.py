"""Who may go to a backend now, who waits, and who is refused at once.

A call *enters* before each attempt and gets a ticket. Mostly it is its turn at once. Where a model
takes no more calls, or its server has asked for a pause, the ticket waits in line, first come first
served; where the line is full, or so long that the call's time would be over before its turn, it is
refused, as it is while the circuit is open or the account has no credit left. What became of an
attempt is told when its ticket *leaves*: that is what the limiter, the circuit and the pauses learn
from.

No step blocks. What happens is noted in a queue first, and whoever holds the lock carries it out,
so that a ticket may leave in any thread at any moment, a finaliser included.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from multitap.errors import BackendError, Overloaded, ProviderDown, QuotaExceeded, RateLimited
from multitap.errors import Timeout as OutOfTime
from multitap.headers import Allowance
from multitap.policy.circuit import FAILURES, Circuit, is_down
from multitap.policy.limiter import Limiter
from multitap.policy.rates import Rates
from multitap.policy.retry import LONGEST_HINT

__all__ = ("LONGEST_QUEUE", "Admission", "Ticket")

LONGEST_QUEUE = 512
SPENT_FOR = 300.0
MOST_MODELS = 256
SHORTEST_LOOK = 0.001
MEASURED = 32  # calls that left, from which the speed of a line is known
RECENT = 10.0

_NOT_THROTTLED = frozenset({"model_loading", "model_unloaded"})
_ANSWERED = frozenset({"stream", "parse"})  # phases in which a server has been heard


class Ticket:
    """One attempt's place: in line, then in flight. ``leave`` it once, whatever becomes of it.

    Attributes:
        called: Called, from any thread, when waiting may be over.
    """

    def __init__(self, admission: Admission, lane: Lane, until: float, tokens: float) -> None:
        self.called: Callable[[], None] | None = None
        self.lane = lane
        self.tokens = tokens
        self.until = until
        self.probe = False
        self.admitted = False
        self.gone = False
        self.began = 0.0
        self.error: BackendError | None = None
        self._admission = admission

    @property
    def decided(self) -> bool:
        """Is it this call's turn, or is it refused?"""
        return self.admitted or self.error is not None

    def wait(self) -> float | None:
        """Seconds until it is worth asking again; ``None``: it is this call's turn.

        Raises:
            BackendError: It is refused; its phase is ``queue``, and nothing was sent.
        """
        if not self.decided:
            self._admission.look(self)
        if self.error is not None:
            raise self.error
        return None if self.admitted else self._admission.seconds(self)

    def saw(self, allowances: Mapping[str, Allowance]) -> None:
        """An answer told what is left of its rates."""
        self._admission.saw(self, allowances)

    def leave(self, error: BackendError | None = None, *, cancelled: bool = False) -> None:
        """It is over: it went well, failed with an error, or was given up by its caller."""
        self._admission.leave(self, error, cancelled)

    def settled(self, error: BackendError | None = None) -> None:
        """It is this call's turn, or it is refused."""
        self.admitted, self.error = error is None, error
        if self.called is not None:
            self.called()


class Lane:
    """One model's line and its limits."""

    def __init__(
        self, clock: Callable[[], float], slots: int | None, per_second: float | None
    ) -> None:
        self.limiter = Limiter(clock, slots)
        self.rates = Rates(clock, per_second)
        self.line: deque[Ticket] = deque()
        self.paused_until = self.next_at = clock()
        self.durations: deque[float] = deque(maxlen=MEASURED)
        self.departures: deque[float] = deque(maxlen=MEASURED)

    def may_go(self, ticket: Ticket, now: float) -> bool:
        """Is it this ticket's turn, being the first in line?"""
        self.next_at = max(self.paused_until, now + self.rates.wait(ticket.tokens))
        return self.next_at <= now and self.limiter.has_room

    def seconds_for(self, places: int, now: float) -> float:
        """How long so many places take, as far as that is known."""
        known = max(0.0, self.next_at - now)
        if self.rates.per_second:
            return known + (places - 1) / self.rates.per_second
        cap = self.limiter.cap
        if cap is None or not self.durations:
            return known
        return max(known, places * sum(self.durations) / len(self.durations) / cap)

    def pace(self, now: float) -> float:
        """Calls a second, of late."""
        recent = [moment for moment in tuple(self.departures) if now - moment < RECENT]
        return len(recent) / RECENT


class Admission:
    """The way to one backend, for all its calls.

    Args:
        clock: Seconds that only grow.
        draw: A number from 0 to 1, for what is spread.
        slots: How many calls of one model may be in flight; ``None``: as many as it bears.
        per_second: How many requests of one model may be sent in a second; ``None``: any number.
        longest: How many calls may wait.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
        *,
        slots: int | None = None,
        per_second: float | None = None,
        longest: int = LONGEST_QUEUE,
    ) -> None:
        self.circuit = Circuit(clock, draw)
        self._clock = clock
        self._draw = draw
        self._slots = slots
        self._per_second = per_second
        self._longest = longest
        self._waiting = 0
        self._spent: tuple[float, BackendError] | None = None
        self._lanes: dict[str, Lane] = {}
        self._news: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._turn = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return self._waiting

    @property
    def in_flight(self) -> int:
        """How many calls are on their way."""
        return sum(lane.limiter.in_flight for lane in tuple(self._lanes.values()))

    def enter(
        self,
        model: str,
        seconds: float,
        *,
        force: bool = False,
        cost: Callable[[], float] | None = None,
    ) -> Ticket:
        """A ticket for one attempt.

        Args:
            model: Its line.
            seconds: How long it may wait there.
            force: Ask a backend that is known to be down, or a key without credit.
            cost: Tells how many tokens the request is likely to need, where the server counts.
        """
        lane = self._lane(model)
        tokens = cost() if cost is not None and lane.rates.counted else 0.0
        ticket = Ticket(self, lane, self._clock() + seconds, tokens)
        self._post(self._arrive, ticket, force)
        return ticket

    def configure(self, slots: int | None, per_second: float | None) -> None:
        """Other limits from now on; who waits is looked at again."""
        self._post(self._configure, slots, per_second)

    def close(self) -> None:
        """The backend is taken away: who waits for it is refused; who is on the way may finish."""
        self._post(self._turn_away)

    def look(self, ticket: Ticket) -> None:
        """Is it somebody's turn by now, or too late for this one?"""
        self._post(self._serve, ticket.lane)
        if not ticket.admitted and self._clock() >= ticket.until:
            self._post(self._expire, ticket)

    def seconds(self, ticket: Ticket) -> float:
        """How long a ticket that waits may sleep before it looks again."""
        now = self._clock()
        left, pause = ticket.until - now, ticket.lane.next_at - now
        return max(SHORTEST_LOOK, min(left, pause) if pause > 0 else left)

    def describe(self, ticket: Ticket) -> dict[str, Any]:
        """What a ``rate_limit`` event tells of a ticket that waits; the wait is in milliseconds."""
        lane, now = ticket.lane, self._clock()
        places = len(lane.line)
        return {
            "qpsLimit": lane.rates.per_second,
            "currentQps": lane.pace(now),
            "queueLength": places,
            "estimatedWaitTime": round(1000 * lane.seconds_for(max(1, places), now)),
        }

    def saw(self, ticket: Ticket, allowances: Mapping[str, Allowance]) -> None:
        """An answer told what is left of its rates."""
        self._post(ticket.lane.rates.saw, allowances)

    def leave(self, ticket: Ticket, error: BackendError | None, cancelled: bool) -> None:
        """An attempt is over."""
        if not ticket.gone:
            self._post(self._depart, ticket, error, cancelled)

    # ---- one at a time ---------------------------------------------------------------------------

    def _post(self, step: Callable[..., None], *facts: Any) -> None:
        self._news.append((step, facts))
        while self._news and self._turn.acquire(blocking=False):
            try:
                while self._news:
                    step, facts = self._news.popleft()
                    step(*facts)
            finally:
                self._turn.release()

    def _lane(self, model: str) -> Lane:
        lane = self._lanes.get(model)
        if lane is None:
            if len(self._lanes) >= MOST_MODELS:
                self._post(self._sweep)
            lane = self._lanes.setdefault(model, Lane(self._clock, self._slots, self._per_second))
        return lane

    def _sweep(self) -> None:
        """Forget the models that nobody uses."""
        for model, lane in tuple(self._lanes.items()):
            if not (lane.line or lane.limiter.in_flight):
                del self._lanes[model]

    def _arrive(self, ticket: Ticket, force: bool) -> None:
        refusal = None if force else self._refusal()
        if refusal is not None:
            ticket.settled(refusal)
            return
        lane = ticket.lane
        lane.line.append(ticket)
        self._waiting += 1
        self._serve(lane)
        if not ticket.admitted and (error := self._too_long(ticket)) is not None:
            self._withdraw(ticket, error)

    def _serve(self, lane: Lane) -> None:
        now = self._clock()
        while lane.line and lane.may_go(lane.line[0], now):
            ticket = lane.line.popleft()
            self._waiting -= 1
            lane.limiter.in_flight += 1
            lane.rates.take(ticket.tokens)
            ticket.probe = self.circuit.begin()
            ticket.began = now
            ticket.settled()

    def _expire(self, ticket: Ticket) -> None:
        message = "No turn for this call before its time in the queue was over"
        self._withdraw(ticket, OutOfTime(message, kind="queue_timeout", phase="queue", hint=_LATER))

    def _withdraw(self, ticket: Ticket, error: BackendError | None) -> None:
        """Leave the line, with an error or because the caller gave up."""
        if ticket in ticket.lane.line:
            ticket.lane.line.remove(ticket)
            self._waiting -= 1
            if error is not None:
                ticket.settled(error)

    def _depart(self, ticket: Ticket, error: BackendError | None, cancelled: bool) -> None:
        if ticket.gone:
            return
        ticket.gone = True
        if not ticket.admitted:
            self._withdraw(ticket, None)
            return
        lane, now = ticket.lane, self._clock()
        lane.departures.append(now)
        lane.durations.append(now - ticket.began)
        if cancelled:
            self.circuit.gave_up(probe=ticket.probe)
        else:
            self._learn(ticket, error)
        lane.limiter.in_flight -= 1
        if lane.line:
            self._serve(lane)

    def _learn(self, ticket: Ticket, error: BackendError | None) -> None:
        if error is None:
            ticket.lane.limiter.succeeded()
            self.circuit.answered()
            return
        if is_down(error):
            self.circuit.failed(probe=ticket.probe)
        elif error.status is not None or error.phase in _ANSWERED:
            self.circuit.answered()
        else:
            self.circuit.gave_up(probe=ticket.probe)
        if isinstance(error, QuotaExceeded):
            self._spent = self._clock() + SPENT_FOR, error
        elif isinstance(error, (RateLimited, Overloaded)) and error.kind not in _NOT_THROTTLED:
            self._throttle(ticket.lane, error.retry_after or 0.0)

    def _throttle(self, lane: Lane, hint: float) -> None:
        lane.limiter.throttled()
        if hint <= LONGEST_HINT:
            lane.paused_until = max(lane.paused_until, self._clock() + hint)

    def _configure(self, slots: int | None, per_second: float | None) -> None:
        self._slots, self._per_second = slots, per_second
        for lane in tuple(self._lanes.values()):
            lane.limiter.fix(slots)
            lane.rates.per_second = per_second
            self._serve(lane)
            for ticket in tuple(lane.line):
                if ticket.called is not None:
                    ticket.called()

    def _turn_away(self) -> None:
        for lane in tuple(self._lanes.values()):
            for ticket in tuple(lane.line):
                self._withdraw(ticket, _taken_away())

    # ---- refusals --------------------------------------------------------------------------------

    def _refusal(self) -> BackendError | None:
        if self._spent is not None and self._clock() < self._spent[0]:
            return _still_spent(self._spent[1])
        seconds = self.circuit.refuses()
        return None if seconds is None else _circuit_open(seconds)

    def _too_long(self, ticket: Ticket) -> BackendError | None:
        """Refuse early rather than late."""
        now, lane = self._clock(), ticket.lane
        seconds = lane.seconds_for(len(lane.line), now)
        if self._waiting > self._longest:
            return self._full(f"{self._longest} calls already wait", seconds)
        if now + seconds > ticket.until:
            return self._full(f"its turn would come in {seconds:.0f} s, too late for it", seconds)
        return None

    def _full(self, why: str, seconds: float) -> Overloaded:
        return Overloaded(
            f"The queue takes no more calls: {why}",
            kind="queue_full",
            phase="queue",
            retry_after=min(60.0, max(1.0, seconds)) * (1 + 0.2 * self._draw()),
            hint=_LATER,
        )


_LATER = "Nothing was sent. Ask again later, or ask less at a time."


def _taken_away() -> ProviderDown:
    return ProviderDown(
        "The backend was taken away while this call waited for its turn",
        hint="Nothing was sent. Ask a backend that is there.",
        kind="backend_removed",
        phase="queue",
    )


def _circuit_open(seconds: float) -> ProviderDown:
    return ProviderDown(
        f"It failed {FAILURES} times in a row and is left alone for {seconds:.1f} s",
        hint="Nothing was sent. Start the server or check the endpoint; force=True asks it anyway.",
        kind="circuit_open",
        phase="queue",
        retry_after=seconds,
    )


def _still_spent(error: BackendError) -> QuotaExceeded:
    return QuotaExceeded(
        f"A moment ago it said: {error.message}",
        hint="Nothing was sent. Add credit to the account; then force=True asks it at once.",
        kind=error.kind,
        phase="queue",
        status=error.status,
    )
