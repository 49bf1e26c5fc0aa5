"""CPU for each streamed token, as fast as the client reads."""

from __future__ import annotations

from functools import partial
from statistics import median

from bench.place import Place
from bench.scenario import Column, Figures, Scenario, Target, ratio
from bench.subject import Subject, check, cpu_of

TOKENS, FEWER, WARM_UP = 20_000, 2_000, 500
SLOW = 50e-6  # seconds a token


def measured(subject: Subject, most: int = TOKENS) -> Figures:
    """Microseconds a token, once the connection is there and code is warm."""
    subject.stream(f"burst-{WARM_UP}", lambda _: None)
    warm, _ = cpu_of(lambda: subject.stream(f"burst-{WARM_UP}", lambda _: None))
    tokens, times = (FEWER, 1) if warm / WARM_UP > SLOW else (most, 3)
    return {"cpu": median(_answer(subject, tokens) for _ in range(times)) / tokens * 1e6}


def _answer(subject: Subject, tokens: int) -> float:
    texts: list[str] = []
    cpu, _ = cpu_of(partial(subject.stream, f"burst-{tokens}", texts.append))
    check(texts, tokens)
    return cpu


def measure(place: Place, client: str) -> Figures:
    return place.measured("burst", client)


OURS, OURS_ASYNC = "multitap", "multitap, uvloop"

SCENARIO = Scenario(
    name="burst",
    title="CPU for each streamed token, bursts",
    note=(
        f"Three answers of {TOKENS:,} tokens as fast as the client reads, their median; one of "
        f"{FEWER:,} for a client that needs over {SLOW * 1e6:.0f} µs a token. Events have the "
        "shape and size of vLLM's, and Ollama's lines those of Ollama's."
    ),
    clients=(
        "raw",
        "httpx",
        "httpx, uvloop",
        "httpx, asyncio",
        "aiohttp, uvloop",
        "aiohttp, asyncio",
        "openai",
        "openai, uvloop",
        "openai, asyncio",
        "litellm",
        "litellm, uvloop",
        "litellm, asyncio",
        "any_llm",
        "any_llm, uvloop",
        "llm",
        "llm, uvloop",
        "langchain_openai",
        "langchain_openai, uvloop",
        "pydantic_ai, uvloop",
        "multitap",
        "multitap, uvloop",
        "multitap, asyncio",
        "ollama",
        "ollama, uvloop",
        "multitap_ollama",
        "multitap_ollama, uvloop",
    ),
    columns=(
        Column("cpu", "µs of CPU a token"),
        Column("cpu", "× httpx", over="httpx", digits=3),
        Column("cpu", "× raw", over="raw"),
    ),
    targets=(
        Target("of openai, sync", 1 / 40, ratio("cpu", OURS, "openai")),
        Target("of openai, uvloop", 1 / 40, ratio("cpu", OURS_ASYNC, "openai, uvloop")),
        Target("of litellm, uvloop", 1 / 150, ratio("cpu", OURS_ASYNC, "litellm, uvloop")),
        Target("of httpx with json, sync", 1 / 5, ratio("cpu", OURS, "httpx")),
        Target("of httpx with json, uvloop", 1 / 5, ratio("cpu", OURS_ASYNC, "httpx, uvloop")),
        Target("of ollama, sync", 1 / 12, ratio("cpu", "multitap_ollama", "ollama")),
        Target(
            "of ollama, uvloop", 1 / 12, ratio("cpu", "multitap_ollama, uvloop", "ollama, uvloop")
        ),
    ),
    measure=measure,
)
