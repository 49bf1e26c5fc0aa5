"""What a scripted server says, by rules instead of a model, before it is written in any dialect."""

from __future__ import annotations

import json

import attrs

CONTEXT = 1000  # tokens; a token is a word
ANSWERS = {
    "capital of France": "The capital of France is Paris.",
    "sky blue": "Because air scatters blue light more than red.",
    "story": "Once there was a dragon. " * 200,
    "2 plus 2": "Four.",
}
CITIES = ("Oslo", "Rome")


@attrs.frozen
class Said:
    """An answer: what was thought, and words or calls.

    Attributes:
        calls: Names of tools, and arguments as JSON.
        cut: Were there more words than the request allows?
        crashes: The engine dies behind the first word.
        prompt: Tokens of the request.
    """

    thought: str
    words: list[str]
    calls: list[tuple[str, str]]
    cut: bool
    crashes: bool
    prompt: int

    @property
    def text(self):
        return "".join(self.words)

    @property
    def thought_tokens(self):
        return len(self.thought.split())

    @property
    def written(self):
        """Tokens of all that was made."""
        return self.thought_tokens + len(self.words) + len(self.calls)

    def end(self, complete, cut, calls):
        """The word of a dialect for how this answer ends."""
        return calls if self.calls else cut if self.cut else complete


def size_of(asked):
    """Tokens of a request in the form of chat completions, as all of these are."""
    return sum(len(text_in(message.get("content")).split()) for message in asked["messages"])


def say(asked, thought=""):
    """The answer to a request."""
    calls = calls_for(asked)
    words = [] if calls else pieces(text_for(asked), asked.get("stop"))
    most = asked.get("max_completion_tokens", asked.get("max_tokens"))
    kept = words if most is None or most < 0 else words[:most]
    crashes = "crash" in question(asked)
    return Said(thought, kept, calls, len(kept) < len(words), crashes, size_of(asked))


def text_in(content):
    """The text of a message, whose content may be parts."""
    parts = content if isinstance(content, list) else [{"text": content or ""}]
    return " ".join(part.get("text", "") for part in parts)


def question(asked):
    last = asked["messages"][-1]
    return text_in(last.get("content")) if last["role"] == "user" else ""


def calls_for(asked):
    """One call of the first tool a city, where the weather is asked for or a call is demanded."""
    choice = asked.get("tool_choice", "auto")
    weather = "weather" in question(asked) or choice not in ("auto", "none")
    if not asked.get("tools") or asked["messages"][-1]["role"] == "tool" or not weather:
        return []
    name = asked["tools"][0]["function"]["name"]
    cities = [city for city in CITIES if city in question(asked)] or ["Oslo"]
    most = 1 if asked.get("parallel_tool_calls") is False else len(cities)
    return [] if choice == "none" else [(name, json.dumps({"city": c})) for c in cities[:most]]


def text_for(asked):
    if asked["messages"][-1]["role"] == "tool":
        results = [text_in(m["content"]) for m in asked["messages"] if m["role"] == "tool"]
        return f"It is {' and '.join(results)}."
    if asked.get("response_format", {}).get("type", "text") != "text":
        return '{"city": "Paris"}'
    return next((text for key, text in ANSWERS.items() if key in question(asked)), "Hello!")


def pieces(text, stops=None):
    for stop in [stops] if isinstance(stops, str) else stops or []:
        text = text.partition(stop)[0]
    return [word if number == 0 else f" {word}" for number, word in enumerate(text.split(" "))]


def halves(text):
    """A text in two pieces, as arguments of calls come."""
    return text[: len(text) // 2], text[len(text) // 2 :]


def named(event):
    """A server-sent event with the name that is its type."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
