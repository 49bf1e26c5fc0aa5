"""Tokens of llama.cpp in this process, through the binding alone and through the plugin."""

from __future__ import annotations

import subprocess
from functools import partial
from statistics import median
from typing import Any

from bench.environments import ROOT, python_of
from bench.place import Place
from bench.scenario import Column, Figures, Scenario, Target, ratio
from bench.subject import Subject, cpu_of

TOKENS, TIMES = 96, 3
DEMO = "import multitap_llamacpp as m; print(m.__path__[0] + '/demo.gguf')"
SIZES = {"75 M": "random", "1.5 M": "demo"}


def measured(subject: Subject) -> Figures:
    """Tokens a second, by the clock and by the CPU, of the median answer."""
    found = [_answer(subject) for _ in range(TIMES + 1)][1:]
    cpu, wall = (median(times) for times in zip(*found, strict=True))
    return {"rate": TOKENS / wall, "cpu": cpu / TOKENS * 1e6}


def _answer(subject: Subject) -> tuple[float, float]:
    texts: list[Any] = []
    used = cpu_of(partial(subject.client.generate, TOKENS, texts.append))
    if not texts:
        raise SystemExit("there is no answer")
    return used


def measure(place: Place, client: str) -> Figures:
    module, _, size = client.partition(", ")
    return place.measured("local_model", module, _file(place, size))


def _file(place: Place, size: str) -> str:
    """The demo model of the plugin, or one that is made now."""
    python = str(python_of("llamacpp"))
    if SIZES[size] == "demo":
        return subprocess.check_output([python, "-c", DEMO], text=True).strip()
    file = place.folder / "random.gguf"
    if not file.exists():
        subprocess.run([python, "-m", "bench.random_model", str(file)], check=True, cwd=ROOT)
    return str(file)


SCENARIO = Scenario(
    name="local_model",
    title="llama.cpp in this process",
    note=(
        f"{TOKENS} tokens, greedy, one thread: the binding's own callback and `Runtime.stream`. "
        "The model of 75 M parameters has random weights, that of 1.5 M is the plugin's demo model."
    ),
    clients=tuple(
        f"{client}, {size}" for size in SIZES for client in ("xllamacpp", "multitap_llamacpp")
    ),
    columns=(
        Column("rate", "tokens a second", digits=0),
        Column("cpu", "µs of CPU a token", digits=0),
    ),
    targets=(
        Target(
            "of the binding's rate, 75 M",
            0.98,
            ratio("rate", "multitap_llamacpp, 75 M", "xllamacpp, 75 M"),
            least=True,
        ),
        Target(
            "of the binding's CPU, 75 M",
            1 / 0.98,
            ratio("cpu", "multitap_llamacpp, 75 M", "xllamacpp, 75 M"),
        ),
    ),
    measure=measure,
)
