"""2,048 vectors of 768 numbers, to one float32 array."""

from __future__ import annotations

from functools import partial
from typing import Any

from bench import answers
from bench.place import Place
from bench.scenario import Column, Figures, Scenario, Target, ratio
from bench.subject import Subject, cpu_of, peak_megabytes

TEXTS = 2048


def measured(subject: Subject, count: int = TEXTS) -> Figures:
    """Milliseconds of a call after one that was like it."""
    found: list[Any] = []
    ask = partial(subject.client.embed, "bench", [f"text {number}" for number in range(count)])
    ask()
    cpu, wall = cpu_of(lambda: found.append(ask()))
    (array,) = found
    if array is not None:  # the raw socket only receives
        assert array.shape == (count, answers.WIDTH)
        assert array.tobytes() == answers.vectors(count).tobytes()
    return {"cpu": cpu * 1e3, "wall": wall * 1e3, "megabytes": peak_megabytes()}


def measure(place: Place, client: str) -> Figures:
    return place.measured("embeddings", client)


SCENARIO = Scenario(
    name="embeddings",
    title=f"{TEXTS:,} vectors of {answers.WIDTH} to one float32 array",
    note=(
        "Base64, which is openai's default too, over OpenAI's API, and numbers over Ollama's; the "
        "raw socket only receives the base64. `simdjson` is an extra of the core."
    ),
    clients=(
        "raw",
        "openai",
        "multitap",
        "ollama",
        "multitap_ollama",
        "multitap_ollama_simdjson",
    ),
    columns=(
        Column("cpu", "ms of CPU", digits=1),
        Column("wall", "ms", digits=1),
        Column("megabytes", "most MB", digits=0),
    ),
    targets=(
        Target("of openai's CPU (base64)", 1 / 10, ratio("cpu", "multitap", "openai")),
        Target("of ollama's CPU (numbers)", 1 / 3, ratio("cpu", "multitap_ollama", "ollama")),
        Target(
            "of ollama's CPU (numbers, simdjson)",
            1 / 5,
            ratio("cpu", "multitap_ollama_simdjson", "ollama"),
        ),
    ),
    measure=measure,
)
