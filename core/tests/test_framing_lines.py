from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.errors import BackendError, ProtocolError, RateLimited, TruncatedStream
from multitap.events import Failed
from multitap.framing import LineDecoder

BITS = [b"\n", b"\r", b"\r\n", b" ", b"one", b"slow", b"\xc3\xa9", b"\xff", b"\xef\xbb\xbf"]
JUNK = st.lists(st.one_of(st.sampled_from(BITS), st.binary(max_size=4)), max_size=30).map(b"".join)


def record(line):
    if line == b"slow":
        raise RateLimited("slow")
    return [line.decode()]


def run(pieces, **options):
    """All outputs; an error is shown by its class and message."""
    stage = LineDecoder(record, **options)
    out = [item for piece in pieces for item in stage.feed(piece)] + stage.finish()
    assert stage.finish() == stage.feed(b"one\n") == []
    return [(type(e.error), e.error.message) if isinstance(e, Failed) else e for e in out]


def test_lines_come_without_their_ends_and_empty_ones_too():
    assert run([b"\xef\xbb\xbfone\r\n\ntwo\n"]) == ["one", "", "two"]


def test_what_finish_gives_comes_last():
    assert run([b"one\n"], finish=lambda: ["end"]) == ["one", "end"]


@given(data=JUNK, places=st.lists(st.integers(0, 200)), limit=st.sampled_from([4, 9, 1 << 20]))
def test_junk_never_raises_and_cuts_never_matter(data, places, limit):
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    for length in (None, len(data), len(data) + 1):
        whole = run([data], length=length, limit=limit)
        assert run(pieces, length=length, limit=limit) == whole
        assert not any(isinstance(item, tuple) for item in whole[:-1])


@pytest.mark.parametrize("size", range(len(b"one\ntwo")))
def test_fewer_bytes_than_were_promised_are_truncated(size):
    *out, (error, _) = run([b"one\ntwo"[:size]], length=7)
    assert out == (["one"] if size > 3 else [])
    assert error is TruncatedStream


def test_a_last_line_without_its_end_needs_a_length():
    assert run([b"one\ntwo"], length=7) == ["one", "two"]
    assert run([b"one\ntwo"])[1][0] is TruncatedStream


@pytest.mark.parametrize(
    ("bad", "error"),
    [(b"slow", RateLimited), (b"\xff", ProtocolError), (b"x" * 40, ProtocolError)],
)
def test_a_failure_is_the_last_output_and_what_came_before_it_is_kept(bad, error):
    out = run([b"one\n" + bad + b"\ntwo\n"], limit=20)
    assert issubclass(error, BackendError)
    assert [out[0], out[1][0], len(out)] == ["one", error, 2]


def test_a_line_that_does_not_end_fails_at_the_limit():
    stage = LineDecoder(record, limit=20)
    assert [stage.feed(b"x" * 10), stage.feed(b"x" * 10)] == [[], []]
    (failed,) = stage.feed(b"x")
    assert failed.error.kind == "limit_exceeded"


def test_a_long_unfinished_line_is_not_joined_for_each_read():
    stage, pieces = LineDecoder(record), [b"x" * 50] * 100
    assert [stage.feed(piece) for piece in pieces] == [[]] * 100
    assert all(a is b for a, b in zip(stage._held, pieces, strict=True))
