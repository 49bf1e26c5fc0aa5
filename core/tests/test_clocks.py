"""Clocks, limits and the tools of an answer: what is set, what is asked for, what is too much."""

from __future__ import annotations

from fake_clock import FakeClock

from multitap.errors import ProtocolError
from multitap.events import Failed, Text, ToolCallChunk, ToolCallStart
from multitap.policy.clocks import Clocks, Limits
from multitap.policy.kept import KeptLimits
from multitap.work import HttpCall

WISHES = HttpCall(method="GET", path="/", first_byte=7, idle=8)


def wishes(call):
    return call.first_byte, call.idle


def test_what_is_set_is_what_was_asked_for_and_all_else_stays():
    clocks = Clocks(connect=1, deadline=9).evolved({"idle": 5}).evolved({"write": 2})
    assert (clocks.idle, clocks.write, clocks.connect, clocks.deadline) == (5, 2, 1, 9)
    assert clocks.asked == {"idle", "write"}


def test_nothing_set_is_the_same():
    clocks, limits = Clocks(), Limits()
    assert clocks.evolved({}) is clocks
    assert limits.evolved({}) is limits
    assert limits.evolved({"ratio": 3}) == Limits(ratio=3)


def test_a_plugins_wish_holds_unless_the_user_has_asked_for_that_clock():
    assert Clocks().over(WISHES) is WISHES
    assert Clocks().evolved({"write": 1}).over(WISHES) is WISHES
    assert wishes(Clocks().evolved({"idle": 1}).over(WISHES)) == (7, None)
    assert wishes(Clocks().evolved({"first_byte": 1}).over(WISHES)) == (None, 8)
    both = Clocks().evolved({"first_byte": 1, "idle": 1}).over(WISHES)
    assert (wishes(both), both.path) == ((None, None), "/")


def test_a_clock_never_goes_beyond_the_deadline():
    clock = FakeClock(100.0)
    assert Clocks(now=clock).left(30) == 30
    assert Clocks(deadline=110.0, now=clock).left(30) == 10
    assert Clocks(deadline=110.0, now=clock).left(5) == 5
    clock.pass_(15)
    assert Clocks(deadline=110.0, now=clock).left(5) == -5


def test_what_comes_before_one_tool_too_many_is_kept():
    tools = KeptLimits(Limits(tool_calls=1))
    first, second = ToolCallStart("a", "weather"), ToolCallStart("b", "weather")
    events = [Text("x"), first]
    assert tools.checked(events) is events
    *kept, failed = tools.checked([Text("y"), second, Text("z")])
    assert kept == [Text("y")]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ProtocolError)
    assert (failed.error.kind, failed.error.phase) == ("limit_exceeded", "parse")
    assert "tool_calls or arguments_bytes" in failed.error.hint


def test_arguments_are_measured_call_by_call():
    tools = KeptLimits(Limits(arguments_bytes=10))
    for name in ("a", "b"):
        for _ in range(2):
            assert len(tools.checked([ToolCallChunk(name, "x" * 5)])) == 1
    (failed,) = tools.checked([ToolCallChunk("a", "x")])
    assert "longer than 10 bytes" in failed.error.message
