"""``multitap bench``."""

import itertools
import json

import pytest
from command_line import registry, run_here, valid

from multitap import Runtime
from multitap.cli.bench import Timing, percentile, summary, timed

ROUNDS = ("--rounds", "3", "--prompt")


def test_every_model_is_asked_once_more_than_there_are_rounds(tmp_path):
    log = tmp_path / "asked"
    config = tmp_path / "llm.toml"
    config.write_text("[stage]\n[other]\nprovider = 'stage'\n")
    ran = run_here("bench", "stage:one", "other:two", *ROUNDS, f"count {log}", f"--config={config}")
    assert (ran.code, log.read_text().split()) == (0, ["one", "two"] * 4)
    table = [line.split() for line in ran.out.splitlines()]
    assert ran.out.startswith("MODEL ")
    assert [(row[0], row[-2]) for row in table[1:]] == [("stage:one", "6"), ("other:two", "6")]
    assert "of memory" in ran.err


def test_the_default_model_and_its_json():
    ran = run_here("bench", *ROUNDS, "hello", "--llm", "provider=stage", "model=one", "--json")
    found = valid("bench", ran.out)
    (facts,) = found["models"]
    assert (facts["model"], facts["output_tokens"]) == ("stage:one", 6)
    assert facts["latency"]["p95"] >= facts["latency"]["p50"] >= facts["first_token"]["p50"] > 0
    assert found["memory"] > 1_000_000


def test_an_answer_that_fails_is_no_figure():
    ran = run_here("bench", "stage:one", *ROUNDS, "fail", "--json")
    assert ran.code == 1
    assert "the engine" in json.loads(ran.out)["error"]["message"]


@pytest.mark.parametrize("words", [("--rounds", "0"), ("--max-tokens", "0")])
def test_at_least_one(words):
    assert run_here("bench", "stage:one", *words).code == 2


def test_the_clock_is_read_at_the_first_piece_of_the_answer_and_at_the_end():
    ticks = map(float, itertools.count())
    with Runtime({"stage": {}}, registry=registry()) as runtime:
        found = timed(runtime.stream("loading", model="stage:one"), lambda: next(ticks))
    assert found == Timing(first=1.0, whole=2.0, tokens=2)


def test_percentiles_and_rates():
    timings = [Timing(first=float(n), whole=2.0 * n, tokens=11) for n in range(1, 21)]
    assert summary(timings) == {
        "latency": {"p50": 20.0, "p95": 38.0},
        "first_token": {"p50": 10.0, "p95": 19.0},
        "output_tokens": 220,
        "tokens_per_second": pytest.approx(10 / 10.5, rel=0.01),
    }
    assert percentile([7.0], 95) == percentile([7.0], 50) == 7.0


@pytest.mark.parametrize("tokens", [None, 0, 1])
def test_what_cannot_be_told_is_null(tokens):
    facts = summary([Timing(first=1.0, whole=2.0, tokens=tokens)])
    assert (facts["output_tokens"], facts["tokens_per_second"]) == (tokens, None)
    assert Timing(first=1.0, whole=1.0, tokens=5).rate is None
