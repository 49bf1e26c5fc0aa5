"""The bench measures what it says: its backend, its checks, its rounds, its tables."""

from __future__ import annotations

import json
import sys
from array import array
from base64 import b64decode
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from bench import answers, environments, place, plot, report, rounds
from bench.scenario import Column, Scenario, Target, figure, ratio
from bench.scenarios import SCENARIOS
from bench.subject import check

HERE = Path(__file__).parents[1] / "bench"
ADAPTERS = sorted(path.stem for path in HERE.glob("clients/[!_]*.py"))


@pytest.fixture(scope="module")
def here():
    """A backend; the clients that are installed beside the tests are measured in their place."""
    with pytest.MonkeyPatch.context() as patch, place.place() as found:
        patch.setattr(place, "python_of", lambda environment: sys.executable)
        yield found


# ---- the backend and the clients -----------------------------------------------------------------

INSTALLED = ["raw", "httpx", "ollama", "multitap, uvloop", "multitap_ollama"]


@pytest.mark.parametrize("client", INSTALLED)
def test_every_token_of_a_burst_is_read(here, client):
    assert here.measured("burst", client, most=40)["cpu"] > 0


@pytest.mark.parametrize("client", ["ollama", "multitap"])
def test_every_vector_is_the_same_to_the_bit(here, client):
    assert here.measured("embeddings", client, count=8)["cpu"] > 0


@pytest.mark.parametrize("scenario", ["first_token", "short_chats"])
def test_answers_in_turn_and_at_once_are_read(here, scenario):
    assert all(value > 0 for value in here.measured(scenario, "multitap, asyncio").values())


def test_a_client_that_fails_ends_the_bench(here):
    with pytest.raises(SystemExit, match="burst: multitap failed"):
        here.measured("burst", "multitap", "http://127.0.0.1:1")


def test_other_texts_or_otherwise_cut_ones_are_found():
    words = answers.words(20)
    check(words, 20)
    for wrong in (words[:-1], [*words[:-1], "!"], [words[0] + words[1], *words[2:]], [(23, 1)]):
        with pytest.raises(SystemExit, match="did not read what was sent"):
            check(wrong, 20)


def test_both_dialects_say_the_same():
    words = answers.words(30)
    assert list(answers.texts_in(answers.sse(words))) == words
    assert list(answers.texts_in(answers.ndjson(words))) == words


def test_vectors_are_the_same_however_they_are_written():
    expected = answers.vectors(3).tobytes()
    for encoding in ("base64", "float"):
        rows = json.loads(answers.openai_vectors(3, encoding))["data"]
        found = [row["embedding"] for row in rows]
        parts = map(b64decode, found) if encoding == "base64" else map(_float32, found)
        assert b"".join(parts) == expected
    assert b"".join(map(_float32, json.loads(answers.ollama_vectors(3))["embeddings"])) == expected


def _float32(numbers):
    return array("f", numbers).tobytes()


# ---- scenarios -----------------------------------------------------------------------------------


def scenario(name):
    return import_module(f"bench.scenarios.{name}").SCENARIO


def test_every_scenario_is_listed_under_its_name():
    assert {path.stem for path in HERE.glob("scenarios/[!_]*.py")} == set(SCENARIOS)
    assert [scenario(name).name for name in SCENARIOS] == list(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_client_has_an_environment_and_a_file(name):
    known = {*environments.OURS, *environments.PEERS}
    for client in scenario(name).clients:
        assert scenario(name).environment(client) in known
        if name != "startup":
            assert client.partition(",")[0] in ADAPTERS


def test_every_peer_says_where_its_use_is_shown():
    for name in environments.PEERS:
        text = (HERE / f"clients/{name}.py").read_text("utf-8")
        assert name == "raw" or "https://" in text.split('"""')[1]


# ---- rounds and tables ---------------------------------------------------------------------------


def made(**more):
    facts = {"name": "test", "title": "A test", "clients": ("a", "b", "c"), "targets": ()}
    columns = (Column("cpu", "µs"), Column("cpu", "× a", over="a"))
    return Scenario(**{**facts, "columns": columns, "measure": lambda place, client: {}, **more})


def test_each_client_is_measured_once_a_round_in_an_order_that_moves_on(capsys):
    asked = []
    measure = lambda place, client: asked.append(client) or {"cpu": 1.0}  # noqa: E731
    found = rounds.run(made(measure=measure), ("a", "b", "c"), None, 3)
    assert asked == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert [sorted(one) for one in found] == [["a", "b", "c"]] * 3


ROUNDS = [
    {"a": {"cpu": 1.0}, "b": {"cpu": 20.0}},
    {"a": {"cpu": 4.0}, "b": {"cpu": 40.0}},
    {"a": {"cpu": 2.0}, "b": {"cpu": 30.0}},
]


def test_ratios_are_taken_within_a_round():
    shown = report.markdown(made(), ("a", "b"), ROUNDS)
    assert "| a | 2.00 (1.00–4.00) | 1.00 |" in shown
    assert "| b | 30.00 (20.00–40.00) | 15.00 (10.00–20.00) |" in shown


def test_a_target_is_kept_by_its_median_and_left_out_where_it_was_not_measured():
    targets = (
        Target("fast", 1 / 10, ratio("cpu", "a", "b")),
        Target("faster", 1 / 30, ratio("cpu", "a", "b")),
        Target("much", 25, figure("cpu", "b"), least=True),
        Target("unknown", 1, figure("cpu", "c")),
    )
    shown = report.markdown(made(targets=targets), ("a", "b"), ROUNDS)
    assert "| fast | at most 1/10 | 1/15.0 (1/20.0–1/10.0) | yes |" in shown
    assert "| faster | at most 1/30 | 1/15.0 (1/20.0–1/10.0) | no, by 2.00 times |" in shown
    assert "| much | at least 25 | 30.00 (20.00–40.00) | yes |" in shown
    assert "unknown" not in shown


def test_the_plot_is_svg_with_a_bar_for_each_client():
    tree = ET.fromstring(plot.svg([(made(title="a < b"), ("a", "b"), ROUNDS)] * 2))
    assert len(tree.findall("{*}rect")) == 4
    assert tree.findtext("{*}text") == "a < b: µs"
