"""What fuzzing has found worth keeping still keeps the laws; without the fuzzer."""

from importlib import import_module
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TARGETS = sorted(path.stem for path in HERE.glob("targets/*.py"))
LARGEST = 200_000  # bytes of all corpora together


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_of_the_corpus_keeps_the_laws(name):
    target = import_module(f"fuzz.targets.{name}")
    inputs = sorted((HERE / "corpus" / name).iterdir())
    assert len(inputs) > 10
    for path in inputs:
        target.check(path.read_bytes())


def test_every_corpus_has_its_target_and_is_small():
    assert sorted(path.name for path in (HERE / "corpus").glob("*/")) == TARGETS
    assert sum(path.stat().st_size for path in (HERE / "corpus").glob("*/*")) < LARGEST
