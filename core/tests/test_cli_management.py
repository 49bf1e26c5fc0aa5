"""``multitap pull``, ``running``, ``slots``, ``copy`` and ``delete``."""

import signal
import subprocess
import sys

import pytest
from command_line import CEILING, MAIN, Doorbell, Terminal, home, run_here, valid

from multitap.capabilities.lifecycle import Progress
from multitap.cli.meter import Meter

# ---- the meter -----------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def meter(clock):
    return Meter(clock)


def step(completed, total=1000, digest="a"):
    return Progress(status="pulling", completed=completed, total=total, digest=digest)


def test_layers_are_added_up(meter):
    for one in (step(0), step(400), step(10, 500, "b"), step(900)):
        meter.add(one)
    assert (meter.completed, meter.total, meter.percent) == (910, 1500, 60)
    meter.finish()
    assert (meter.completed, meter.percent) == (1500, 100)


def test_rate_and_time_left(meter, clock):
    meter.add(step(0))
    assert (meter.rate, meter.left) == (None, None)
    for second in range(1, 6):
        clock.now = float(second)
        meter.add(step(100 * second))
    assert (meter.rate, meter.left, meter.seconds) == (100.0, 5.0, 5.0)


def test_what_was_there_already_has_no_speed(meter, clock):
    clock.now = 1.0
    meter.add(step(900))
    assert (meter.completed, meter.rate) == (900, None)
    clock.now = 2.0
    meter.add(step(910))
    assert meter.rate == 5.0


def test_the_rate_is_that_of_late(meter, clock):
    meter.add(step(0, 10_000))
    for second in range(1, 31):
        clock.now = float(second)
        meter.add(step(100 * second if second <= 10 else 1000 + 10 * (second - 10), 10_000))
    assert meter.rate == 10.0


def test_a_stall_slows_the_rate_down_to_none(meter, clock):
    meter.add(step(0))
    clock.now = 1.0
    meter.add(step(100))
    rates = []
    for clock.now in (2.0, 5.0, 30.0):
        meter.add(step(100))
        rates.append(meter.rate)
    assert rates == [50.0, 20.0, None]


def test_a_layer_that_falls_back_is_counted_once(meter, clock):
    for second, done in enumerate((0, 500, 100, 500)):
        clock.now = float(second)
        meter.add(step(done))
    assert meter.completed == 500
    assert meter.rate == 900 / 3  # what went over the wire


def test_steps_without_bytes_change_nothing(meter):
    meter.add(Progress(status="verifying"))
    meter.finish()
    assert (meter.completed, meter.total, meter.percent, meter.left) == (0, 0, None, None)


def test_more_than_there_is_is_all_of_it(meter):
    meter.add(Progress(status="pulling", completed=25, total=20))
    assert meter.percent == 100


def test_a_total_of_nothing(meter):
    meter.add(step(0, 0))
    assert meter.percent is None


def test_the_memory_of_a_meter_is_bounded(meter, clock):
    for number in range(20_000):
        clock.now += 1.0
        meter.add(step(number, 10**9, str(number)))
    assert len(meter._layers) <= 4096
    assert len(meter._samples) <= 256


# ---- pull ----------------------------------------------------------------------------------------


def test_pull_writes_a_line_for_each_percent():
    ran = run_here("pull", "stage:new")
    assert (ran.code, ran.out) == (0, "stage:new is pulled (4.0 kB)\n")
    lines = ran.err.splitlines()
    assert lines[0] == "multitap: pulling manifest"
    assert lines[1].startswith("multitap: pulling a: 0 %, 0 B of 1.0 kB")
    assert lines[-1] == "multitap: success"
    percents = [line.split(": ")[2].split(" ")[0] for line in lines if "%" in line]
    assert percents == [*map(str, range(100)), "99"]


def test_pull_as_json():
    ran = run_here("pull", "stage:new", "--json")
    found = valid("pull", ran.out)
    assert (found["model"], found["bytes"], ran.err) == ("stage:new", 4000, "")


def test_pull_as_events():
    lines = run_here("pull", "stage:new", "--events").out.splitlines()
    events = [valid("pull-events", line) for line in lines]
    assert events[1] == {
        "status": "pulling a",
        "completed": 0,
        "total": 1000,
        "digest": "sha256:a",
    }
    assert (len(events), events[-1]) == (253, {"status": "success"})


def test_a_pull_that_fails():
    ran = run_here("pull", "stage:broken")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[-1].startswith("multitap: stage: the digest does not match.")
    found = valid("error", run_here("pull", "stage:broken", "--json").out)
    assert found["error"]["class"] == "ProtocolError"
    lines = run_here("pull", "stage:broken", "--events").out.splitlines()
    assert [valid("pull-events", line) for line in lines][-1]["stop_reason"] == "error"


def test_a_model_that_does_not_exist_is_one_line_with_a_next_step():
    ran = run_here("pull", "stage:missing")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "multitap: stage: there is nothing of this name."
        " Run `multitap models` to see what there is.\n"
    )


def test_a_pull_that_takes_too_long():
    ran = run_here("pull", "stage:slow", "--timeout", "0.2")
    assert ran.code == 1
    assert "time for the whole call" in ran.err


def test_interrupting_a_pull_says_how_to_go_on(tmp_path):
    at_work = tmp_path / "doorbell"
    bell = Doorbell(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "pull", f"stage:{at_work}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=home(tmp_path),
        encoding="utf-8",
    )
    bell.wait()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=CEILING)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-2:] == [
        f"multitap: pulling stage:{at_work} again goes on where it stopped.",
        "multitap: interrupted.",
    ]


def test_a_terminal_shows_a_bar_that_goes_away(tmp_path):
    with Terminal(tmp_path, "pull", "stage:new") as terminal:
        terminal.expect("stage:new is pulled (4.0 kB)")
        assert terminal.end() == 0
        assert "\x1b[2J" not in terminal.screen


def test_interrupting_at_a_terminal(tmp_path):
    with Terminal(tmp_path, "pull", "stage:slow") as terminal:
        terminal.expect("of 1.0 kB")
        terminal.type("\x03")
        terminal.expect("again goes on where it stopped")
        assert terminal.end() == 130


# ---- running, slots, copy and delete -------------------------------------------------------------

RUNNING = """\
MODEL      CONTEXT  MEMORY  UNTIL
stage:two  128      9.0 MB  2319-03-03T09:13:57
"""


def test_running():
    assert run_here("running") == (0, RUNNING, "")
    found = valid("running", run_here("running", "stage", "--json").out)
    assert [(model["ref"], model["loaded"]) for model in found] == [("stage:two", True)]


SLOTS = """\
SLOT  TOKENS  CONTEXT  BUSY  FILE
0     7       128      yes
1
"""
SAVED = """\
SLOT  TOKENS  CONTEXT  BUSY  FILE
1     7                      9.0 kB
"""


def test_slots():
    assert run_here("slots", "stage:two") == (0, SLOTS, "")
    found = valid("slots", run_here("slots", "stage:two", "--json").out)
    assert found == [{"id": 0, "busy": True, "tokens": 7, "context_length": 128}, {"id": 1}]


def test_a_slot_is_saved_restored_or_erased():
    assert run_here("slots", "stage:two", "--save", "1", "a.bin") == (0, SAVED, "")
    assert run_here("slots", "stage:two", "--restore", "1", "a.bin").out == SAVED
    ran = run_here("slots", "stage:two", "--erase", "1", "--json")
    assert valid("slots", ran.out) == [{"id": 1, "tokens": 0}]


def test_what_cannot_be_done_with_a_slot():
    ran = run_here("slots", "stage:two", "--restore", "1", "missing.bin")
    assert (ran.code, ran.out) == (1, "")
    assert "there is no such file" in ran.err
    ran = run_here("slots", "stage:two", "--erase", "1", "--save", "1", "a.bin")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.endswith("Give one of the three.\n")


def test_copy():
    assert (
        run_here("copy", "stage:one", "second:v2").out == "stage:one is copied to stage:second:v2\n"
    )
    found = valid("copy", run_here("copy", "stage:one", "stage:second", "--json").out)
    assert found == {"model": "stage:one", "copy": "stage:second"}


def test_delete_needs_a_yes_where_nobody_can_be_asked():
    ran = run_here("delete", "stage:one")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.endswith("delete stage:one. Add --yes.\n")
    assert run_here("delete", "stage:one", "--yes").out == "stage:one is deleted\n"
    found = valid("delete", run_here("delete", "stage:one", "-y", "--json").out)
    assert found == {"model": "stage:one", "deleted": True}


def test_deleting_what_is_not_there():
    ran = run_here("delete", "stage:missing", "--yes")
    assert (ran.code, ran.out) == (1, "")
    assert "there is no such model" in ran.err


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [("y", 0, "stage:one is deleted"), ("n", 1, "stage:one is kept"), ("", 1, "stage:one is kept")],
)
def test_delete_asks_at_a_terminal(tmp_path, answer, code, said):
    with Terminal(tmp_path, "delete", "stage:one") as terminal:
        terminal.expect("Delete stage:one?")
        terminal.type(f"{answer}\n")
        terminal.expect(said)
        assert terminal.end() == code


def test_a_copy_to_another_backend_is_refused():
    ran = run_here("copy", "stage:one", "other:place", "--llm", "other.provider=stage")
    assert ran.code == 2
    assert "it stays at stage" in ran.err
