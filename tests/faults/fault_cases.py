"""The rows of the fault matrix that are one script each: what is played, and what comes of it."""

from __future__ import annotations

from types import MappingProxyType

import attrs
from fault_answers import ALWAYS_STREAM, TEXT, half_of

from multitap import errors
from multitap.errors import (
    AuthenticationError,
    BadRequest,
    DeadlineExceeded,
    EngineError,
    ModelNotFound,
    NotSupported,
    Overloaded,
    ProtocolError,
    ProviderDown,
    RateLimited,
    Timeout,
    TruncatedStream,
)
from multitap.testing import faults
from multitap.testing.faults.content import SEPARATED, SPLIT

HALF = object()
SHORT = 0.2  # seconds of a clock that is to run out


@attrs.frozen
class Ending:
    """How a call ends.

    Attributes:
        error: The class of its error; ``None``: it is answered.
        kind: The error's; ``None``: any.
        phase: The error's; ``None``: any.
        attempts: How many requests the server is sent.
        text: Of the answer, or of the partial one; ``HALF``: what is in the first half of it.
        kept: Is the connection used for the next call?
    """

    error: type | None = None
    kind: str | None = None
    phase: str | None = None
    attempts: int = 1
    text: object = ""
    kept: bool = False

    def text_of(self, good):
        return half_of(good) if self.text is HALF else self.text


def fails(error, kind=None, phase=None, **facts):
    return Ending(error, kind, phase, **facts)


def answers(text=TEXT, **facts):
    return Ending(text=text, **{"kept": True, **facts})


@attrs.frozen
class Case:
    """One script in the place of an answer, and the ends of a streamed and of a whole call.

    Attributes:
        options: Of the script; of a mapping the plugin's own value, or the one of ``""``.
        bounds: Clocks and limits of the call.
        others: The two ends, by plugin, where a kind of server says it in another way.
    """

    row: str
    script: faults.FaultScript
    stream: Ending
    whole: Ending
    options: MappingProxyType = MappingProxyType({})
    bounds: MappingProxyType = MappingProxyType({})
    name: str = ""
    others: MappingProxyType = MappingProxyType({})

    @property
    def id(self):
        return "-".join(filter(None, [self.row, self.script.name, self.name]))

    def ending(self, plugin, streamed):
        stream, whole = self.others.get(plugin, (self.stream, self.whole))
        if plugin in ALWAYS_STREAM:
            whole = attrs.evolve(stream, attempts=min(stream.attempts, whole.attempts))
        return stream if streamed else whole

    def options_for(self, plugin):
        return {
            name: value.get(plugin, value[""]) if isinstance(value, dict) and "" in value else value
            for name, value in self.options.items()
        }


def case(script, stream, whole=None, *, row=None, bounds=(), name="", others=(), **options):
    return Case(
        row or script.row,
        script,
        stream,
        whole or stream,
        MappingProxyType(options),
        MappingProxyType(dict(bounds)),
        name,
        MappingProxyType(dict(others)),
    )


def clock(**seconds):
    """Clocks of the call; nothing else is to end it."""
    return {"timeout": {"total": 3, **seconds}}


# ---- 3.4 connecting, 3.5 waiting -----------------------------------------------------------------

lost = fails(ProviderDown, "connection_lost", "wait", attempts=3)
lost_once = fails(ProviderDown, "connection_lost", "wait")
no_answer = fails(Timeout, "first_byte_timeout", "wait")
stalled = fails(Timeout, "stall_timeout", "stream", attempts=2)
stalled_whole = attrs.evolve(stalled, attempts=1)  # it may have run
stalled_midway = fails(Timeout, "stall_timeout", "stream", text=HALF)
slow = fails(Timeout, "slow_peer", "wait")
late = fails(DeadlineExceeded, "deadline_exceeded")
cut = fails(TruncatedStream, "truncated_stream", attempts=3)
cut_midway = fails(TruncatedStream, "truncated_stream", text=HALF)
reset_midway = fails(TruncatedStream, "connection_lost", "stream", text=HALF)

CONNECTING = (
    case(faults.closes_unanswered, lost, lost_once),
    case(faults.resets_unanswered, lost, lost_once),
)
WAITING = (
    case(
        faults.no_first_byte,
        attrs.evolve(no_answer, attempts=2),
        no_answer,
        bounds=clock(first_byte=SHORT),
    ),
    case(faults.silent, stalled_midway, stalled_whole, bounds=clock(idle=SHORT)),
    case(faults.silent_after_head, stalled, stalled_whole, bounds=clock(idle=SHORT)),
    case(
        faults.pings_only,
        stalled,
        late,  # a value that comes whole says nothing before its end
        bounds=clock(progress=SHORT, total=1),
    ),
    case(faults.pings_after_text, stalled_midway, late, bounds=clock(progress=SHORT, total=1)),
    case(faults.dripped_head, attrs.evolve(slow, attempts=2), slow, bounds=clock(head=SHORT)),
    case(faults.dripped_body, late, bounds={"timeout": SHORT}),
    case(faults.resets_in_answer, reset_midway),
    case(faults.cut_off, cut_midway, cut),
    case(faults.half_closes, cut_midway, cut),
    case(faults.closes_without_end, cut_midway, cut),
    case(faults.ends_without_end, cut_midway, cut),
    case(faults.open_after_the_end, answers(kept=False), answers()),
    case(faults.no_first_byte, late, row="B8", bounds={"timeout": SHORT}),
    case(faults.silent, attrs.evolve(late, text=HALF), row="B8", bounds={"timeout": SHORT}),
    case(faults.never_ends, attrs.evolve(late, text=None), bounds={"timeout": SHORT}),
)

# ---- 3.6 bytes and framing -----------------------------------------------------------------------

violation = fails(ProtocolError, "protocol_violation", "parse")
too_large = fails(ProtocolError, "limit_exceeded", "parse")
too_large_midway = attrs.evolve(too_large, text=HALF)
unreadable = fails(ProtocolError, "bad_payload")
unreadable_midway = attrs.evolve(unreadable, text="The capital of France is")
engine = fails(EngineError, attempts=3)
small = {"limits": {"record_bytes": 65536, "body_bytes": 65536}}


def told(word):
    return answers(TEXT.replace("Paris", word))


FRAMING = (
    case(faults.short_body, attrs.evolve(cut_midway, text=None), cut),
    case(faults.cut_chunk, attrs.evolve(cut_midway, text=None), cut),
    case(faults.cut_json, unreadable_midway, cut),
    case(faults.bad_utf8, unreadable_midway, unreadable),
    case(faults.split_utf8, told(SPLIT.decode())),
    case(faults.odd_separators, told(SEPARATED.decode())),
    case(faults.odd_line_ends, answers(), name="CRLF"),
    case(faults.leading_bom, answers()),
    case(faults.giant_record, attrs.evolve(too_large, text=TEXT[:24]), too_large, bounds=small),
    case(faults.endless_record, too_large, bounds=small),
    case(faults.endless_headers, violation),
    case(faults.endless_informational, violation),
    case(faults.other_type, answers()),
    case(
        faults.other_type,
        answers(),
        unreadable,
        name="events",
        kind="text/event-stream",
        others={"ollama": (answers(), answers())},
    ),
    case(faults.html_page, unreadable),
    case(faults.html_refusal, fails(ProviderDown, attempts=3, kept=True)),
    case(faults.html_refusal, fails(BadRequest, kept=True), name="400", status=400),
    case(faults.error_at_once, engine),
    case(faults.error_midway, attrs.evolve(engine, attempts=1, text=HALF), engine),
    case(faults.error_named, engine),
    case(faults.gzip_bomb, too_large),
    case(faults.gzip_cut, attrs.evolve(cut_midway, text=None), cut),
    case(faults.stacked_encoding, violation),
    case(faults.unknown_encoding, violation),
    case(
        faults.glued_records,
        unreadable_midway,
        unreadable,
        others={"ollama": (told("Paris Paris"), unreadable)},
    ),
    case(
        faults.record_over_two_lines,
        answers(),
        others={"ollama": (unreadable_midway, answers())},
    ),
    case(faults.nan_literal, unreadable_midway, unreadable),
    case(faults.nan_literal, unreadable_midway, unreadable, name="infinity", value=b"-Infinity"),
    case(
        faults.deep_json,
        fails(ProtocolError, "limit_exceeded", text="The capital of France is"),
        fails(ProtocolError, "limit_exceeded"),
    ),
    case(faults.huge_number, answers()),
    case(faults.lone_surrogate, told("Pa\ufffdris")),
    case(faults.bad_chunk_size, attrs.evolve(violation, text=HALF), violation),
    case(faults.length_and_chunks, violation),
    case(faults.two_lengths, violation),
)

# ---- 3.7 statuses --------------------------------------------------------------------------------

SOON, LATE = {"retry-after": "0.01"}, {"retry-after": "120"}
NO_ROUTE = "404 page not found"
OVERFLOW = {
    "": "This model's maximum context length is 100 tokens, but the prompt is too long: 900 tokens",
    "ollama": "request (900 tokens) exceeds the available context size (100 tokens)",
    "tgi": (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 100."
        " Given: 900 `inputs` tokens and 10 `max_new_tokens`"
    ),
}


def refused(row, status, error, *, whole=None, name="", attempts=1, others=(), **options):
    """A refusal; ``others``: class and attempts where a plugin's server says it otherwise."""
    ends = [fails(error, attempts=tries, kept=True) for tries in (attempts, whole or attempts)]
    differ = {p: (fails(e, attempts=n, kept=True),) * 2 for p, (e, n) in dict(others).items()}
    told = {"row": row, "name": f"{status}{name}", "others": differ, "status": status}
    return case(faults.refuses, *ends, **told, **options)


def wordless(row, status, error, attempts=1):
    ending = fails(error, attempts=attempts, kept=True)
    return case(faults.refuses_without_a_word, ending, row=row, name=str(status), status=status)


STATUSES = (
    refused("D1", 400, BadRequest),
    refused("D1", 400, errors.ContextOverflow, name="-overflow", message=OVERFLOW),
    refused("D2", 401, AuthenticationError),
    refused("D3", 403, AuthenticationError),
    refused(  # TGI serves one model: what it does not find is a path
        "D4",
        404,
        ModelNotFound,
        message="model 'tiny' not found",
        others={"tgi": (ProtocolError, 1)},
    ),
    refused("D4", 404, ProtocolError, name="-route", message=NO_ROUTE),
    refused("D4", 404, ProtocolError, name="-page", message="404 Not Found"),
    wordless("D4", 404, ProtocolError),
    refused("D5", 405, ProtocolError),
    *(refused("D5", status, NotSupported) for status in (406, 410, 415, 501)),
    refused("D6", 408, Timeout, attempts=3),
    refused("D7", 409, BadRequest),
    refused("D8", 413, BadRequest),
    refused("D9", 422, BadRequest),
    refused("D10", 424, BadRequest, others={"tgi": (EngineError, 2)}),
    refused("D11", 429, RateLimited, attempts=3, headers=SOON),
    refused("D12", 429, RateLimited, headers=LATE),
    refused("D13", 429, RateLimited, attempts=3),
    *(
        refused("D15", 429, RateLimited, name=f"-{hint}", attempts=3, headers={"retry-after": hint})
        for hint in faults.ABSURD_HINTS
    ),
    refused("D16", 500, ProviderDown, attempts=3),
    refused("D17", 502, ProviderDown, attempts=3),
    refused("D17", 504, ProviderDown, attempts=3, whole=1),
    refused("D19", 503, Overloaded, attempts=3, message="The queue is full"),
    refused("D20", 529, Overloaded, attempts=3),
    *(refused("D21", status, ProviderDown, attempts=3) for status in faults.REFUSALS["D21"]),
    case(faults.redirects, fails(ProtocolError, "redirect_refused")),
    *(
        case(faults.redirects, fails(ProtocolError, "redirect_refused"), name=str(s), status=s)
        for s in (301, 302, 303, 308)
    ),
    refused("D24", 503, Overloaded, name="-false", headers={"x-should-retry": "false"}),
    refused("D24", 400, BadRequest, name="-true", attempts=3, headers={"x-should-retry": "true"}),
    wordless("D1", 400, BadRequest),
    wordless("D2", 401, AuthenticationError),
    wordless("D13", 429, RateLimited, attempts=3),
    wordless("D16", 500, ProviderDown, attempts=3),
    wordless("D19", 503, Overloaded, attempts=3),
)

CASES = (*CONNECTING, *WAITING, *FRAMING, *STATUSES)
