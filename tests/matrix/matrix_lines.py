"""The validation matrix: what every chat plugin is held to, and what is not there for it, and why.

A test is marked with the line that it proves: ``has`` runs it for the plugins that have the thing,
``lacks`` for the others, where it is refused by name. So no cell is without a test.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
PLUGINS = ("echo", "llamacpp", "llamaserver", "lmstudio", "ollama", "openai", "tgi", "vllm")
IN_PROCESS = ("echo", "llamacpp")

LINES = {
    "pure text": (),
    "native reasoning": (),
    "reasoning by <think>": (),
    "native tool streaming": (),
    "legacy <function_call>": (),
    "multi-tool history replay": (),
    "image input": (),
    "audio input": (),
    "image output": (),
    "usage mapping": (),
    "prompt-cache mapping": ("prefix", "count", "option"),
    "proxy / trace / abort": ("proxy", "trace", "abort"),
    "embeddings": (),
    "retired roll-back path": (),
}
"""Each line with its parts; a line without parts is one thing."""

NO_PICTURES = "no server route gives pictures, and an answer of chat has no field for one"
NO_COUNT = "the count is unknown (`None`), never 0"
NO_ADDRESS = "it works in this process, so there is nothing for a proxy to reach"
ABSENT = {
    ("native reasoning", "tgi"): (
        "TGI: `OutputMessage` (`router/src/lib.rs`) is a text or a call, without a field for"
        " thoughts, and no field of a request asks for them; a template may, in the text"
    ),
    ("image input", "llamacpp"): (
        "llama.cpp sees only through a projector (`mmproj`), and the plugin loads text models alone"
    ),
    ("audio input", "llamacpp"): (
        "llama.cpp hears only through a projector (`mmproj`); the plugin loads text models alone"
    ),
    ("audio input", "lmstudio"): (
        "LM Studio: a message has parts of text and pictures alone (its REST API documentation)"
    ),
    ("audio input", "tgi"): (
        "TGI: `MessageChunk` (`router/src/lib.rs`) is a text or the address of a picture"
    ),
    ("image output", "llamacpp"): f"llama.cpp: {NO_PICTURES} (`tools/server/README.md`)",
    ("image output", "llamaserver"): f"llama-server: {NO_PICTURES} (`tools/server/README.md`)",
    ("image output", "lmstudio"): f"LM Studio: {NO_PICTURES} (its REST API documentation)",
    ("image output", "ollama"): (
        "Ollama: no image route (`server/routes.go`), and image models are refused by"
        " `/api/generate`"
    ),
    ("image output", "tgi"): f"TGI: {NO_PICTURES} (`router/src/server.rs`)",
    ("image output", "vllm"): f"vLLM: {NO_PICTURES} (its OpenAI-compatible server)",
    ("prompt-cache mapping", "echo", "prefix"): "nothing is computed, so nothing is kept",
    ("prompt-cache mapping", "echo", "count"): f"there is no cache; {NO_COUNT}",
    (
        "prompt-cache mapping",
        "echo",
        "option",
    ): "there is no cache, so nothing is asked of it",
    ("prompt-cache mapping", "lmstudio", "count"): (
        "LM Studio: `usage` has `prompt_tokens`, `completion_tokens` and `total_tokens` alone"
        f" (its REST API documentation); {NO_COUNT}"
    ),
    ("prompt-cache mapping", "ollama", "count"): (
        f"Ollama: `prompt_eval_count` is of the whole prompt, cached or not; {NO_COUNT}"
    ),
    ("prompt-cache mapping", "tgi", "count"): (
        f"TGI: `Usage` (`router/src/lib.rs`) has three counts, none of the cache; {NO_COUNT}"
    ),
    ("prompt-cache mapping", "tgi", "option"): (
        "TGI: prefix caching is set when the server starts (`launcher/src/main.rs`); a request has"
        " no field for it"
    ),
    ("proxy / trace / abort", "echo", "proxy"): NO_ADDRESS,
    ("proxy / trace / abort", "llamacpp", "proxy"): NO_ADDRESS,
}
"""Why something is not there: a line, the plugin, and the part where the line has some."""

PROVED = set()
"""The cells for which there is a test, as far as its module is imported."""


def cell_of(line, plugin, part=None):
    return (line, plugin) if part is None else (line, plugin, part)


def has(line, part=None):
    """The test runs for every plugin that has it."""
    return _for([p for p in PLUGINS if cell_of(line, p, part) not in ABSENT], line, part)


def lacks(line, part=None):
    """The test runs for every plugin for which it is not there."""
    return _for([p for p in PLUGINS if cell_of(line, p, part) in ABSENT], line, part)


def _for(plugins, line, part):
    assert plugins, f"no plugin for {line}, {part}"
    assert part in (LINES[line] or (None,)), f"{line} has no part {part}"
    PROVED.update((line, plugin, part) for plugin in plugins)
    marked = [pytest.param(p, marks=pytest.mark.cell(line, p, part)) for p in plugins]
    return pytest.mark.parametrize("plugin", marked)


# ---- the table -----------------------------------------------------------------------------------


def declared():
    """What each cell is said to be: ``ok``, or ``n/a``."""
    parts = [(line, p, part) for line in LINES for p in PLUGINS for part in LINES[line] or (None,)]
    return {key: "n/a" if cell_of(*key) in ABSENT else "ok" for key in parts}


def table(states):
    """The rows of the table; the parts of a cell are told apart where they differ."""
    yield ["", *PLUGINS]
    for line in LINES:
        yield [line, *(_shown(states, line, plugin) for plugin in PLUGINS)]


def _shown(states, line, plugin):
    found = [states.get((line, plugin, part), "-") for part in LINES[line] or (None,)]
    return found[0] if len(set(found)) == 1 else " / ".join(found)


def reasons():
    """What is not there, and why, a row each."""
    yield ["line", "plugin", "why it is n/a"]
    for (line, plugin, *part), reason in ABSENT.items():
        yield [", ".join([line, *part]), plugin, reason]


def markdown(rows):
    """A table as the documentation has it."""
    head, *others = rows
    lines = (" | ".join(row) for row in [head, ["---"] * len(head), *others])
    quoted = (re.sub(r"<[a-z_]+>", r"`\g<0>`", line) for line in lines)
    return "".join(f"| {line} |\n" for line in quoted)
