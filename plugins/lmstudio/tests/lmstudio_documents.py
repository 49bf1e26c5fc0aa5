"""Examples of LM Studio's documentation; ``documentation/README.md`` says where each is from."""

from __future__ import annotations

import json
from pathlib import Path

HOME = Path(__file__).parent / "documentation"
EVENTS = (
    "chat.start",
    *("model_load.start", "model_load.progress", "model_load.end"),
    *("prompt_processing.start", "prompt_processing.progress", "prompt_processing.end"),
    *("reasoning.start", "reasoning.delta", "reasoning.end"),
    *("tool_call.start", "tool_call.arguments", "tool_call.success", "tool_call.failure"),
    *("message.start", "message.delta", "message.end"),
    *("error", "chat.end"),
)


def names():
    """Every example."""
    return sorted(path.relative_to(HOME).as_posix()[:-5] for path in HOME.rglob("*.json"))


def example(name):
    """The value of one: ``load.request``, ``events/chat.start``."""
    return json.loads(HOME.joinpath(f"{name}.json").read_text("utf-8"))


def exchanges():
    """Requests of ``/api/v1/chat`` with the answers that are shown to them."""
    asked = [name for name in names() if name.startswith("chat-") and name.endswith(".request")]
    pairs = [(name, name.replace(".request", ".answer")) for name in asked]
    return [(example(request), example(answer)) for request, answer in pairs if answer in names()]


def events():
    """One of each event of a stream, in an order in which they may come."""
    return [example(f"events/{kind}") for kind in EVENTS]
