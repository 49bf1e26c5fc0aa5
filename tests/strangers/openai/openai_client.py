"""OpenAI's own client in both worlds, and what it shows of an answer."""

from __future__ import annotations

import asyncio

import attrs
import openai
from lmstudio_here import lmstudio_config, lmstudio_registry
from openai_here import openai_config, openai_registry
from pydantic import BaseModel
from scripted_lmstudio import ScriptedLmStudio
from scripted_openai import ScriptedOpenAI
from scripted_openai_media import wav_of

from multitap.testing import CEILING

SERVERS = {
    "openai": (ScriptedOpenAI, openai_config, openai_registry),
    "lmstudio": (ScriptedLmStudio, lmstudio_config, lmstudio_registry),
}
# what servers say beside what this client has a word for
BESIDE = {"reasoning", "reasoning_content", "task"}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
SCHEMA = TOOL["function"]["parameters"]
STRICT = {**TOOL["function"], "strict": True}
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
SAID = "Good morning, this is a sound."
WAV = wav_of(SAID)
TWO_CITIES = "How is the weather in Oslo, and in Rome?"


class Blocking:
    """What the client says, in blocking code."""

    def ask(self, url, call, **how):
        """What comes of one call; of a stream, its parts."""
        how = {"api_key": "sesame", "max_retries": 0, "timeout": CEILING, **how}
        with openai.OpenAI(base_url=f"{url}/v1", **how) as client:
            found = call(client)
            return list(found) if isinstance(found, openai.Stream) else found

    def follow(self, url, call, final):
        """What the client has put together of a stream at its end."""
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="sesame", timeout=CEILING)
        with client, call(client) as stream:
            kinds = [event.type for event in stream]
            return kinds, getattr(stream, final)()

    def hear(self, url, call, pieces_of, after):
        """The pieces of a stream as they come; ``after`` is called behind each with all so far."""
        found = []
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="sesame", timeout=CEILING)
        with client, call(client) as stream:
            for piece in pieces_of(stream):
                found.append(piece)
                after(found)
        return found


class OnALoop:
    """The same on an event loop."""

    def ask(self, url, call, **how):
        how = {"api_key": "sesame", "max_retries": 0, "timeout": CEILING, **how}

        async def run():
            async with openai.AsyncOpenAI(base_url=f"{url}/v1", **how) as client:
                found = await call(client)
                streamed = isinstance(found, openai.AsyncStream)
                return [part async for part in found] if streamed else found

        return asyncio.run(run())

    def follow(self, url, call, final):
        async def run():
            client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sesame", timeout=CEILING)
            async with client, call(client) as stream:
                kinds = [event.type async for event in stream]
                return kinds, await getattr(stream, final)()

        return asyncio.run(run())

    def hear(self, url, call, pieces_of, after):
        async def run():
            found = []
            client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sesame", timeout=CEILING)
            async with client:
                opened = call(client)
                async with await opened if asyncio.iscoroutine(opened) else opened as stream:
                    async for piece in pieces_of(stream):
                        found.append(piece)
                        after(found)
            return found

        return asyncio.run(run())


def known(part):
    """The part itself, once the client's own type has found all that it demands in it."""
    plain = part.model_dump(exclude_unset=True, by_alias=True, warnings=False)
    type(part).model_validate(plain)
    assert beside(part) <= BESIDE
    return part


def beside(value):
    """The fields, at any depth, that the client has no word for."""
    if isinstance(value, BaseModel):
        inner = [beside(field) for _, field in value]
        known_as = {field.alias for field in type(value).model_fields.values()}
        return (set(value.model_extra or ()) - known_as).union(*inner)
    if isinstance(value, list):
        return set().union(*map(beside, value))
    return set()


# ---- chat completions ----------------------------------------------------------------------------


@attrs.define
class Seen:
    """One choice, as the client shows it."""

    text: str = ""
    calls: dict = attrs.field(factory=dict)
    tokens: list = attrs.field(factory=list)
    thought: str = ""
    finish: str | None = None

    def add(self, choice, said):
        self.text += said.content or ""
        self.thought += (said.model_extra or {}).get("reasoning_content", "")
        for place, call in enumerate(said.tool_calls or ()):
            known_call = self.calls.setdefault(getattr(call, "index", place), [None, "", ""])
            known_call[0] = call.id or known_call[0]
            known_call[1] += call.function.name or ""
            known_call[2] += call.function.arguments or ""
        entries = (choice.logprobs and choice.logprobs.content) or ()
        self.tokens += [(entry.token, entry.logprob) for entry in entries]
        self.finish = choice.finish_reason or self.finish


def seen_of(found):
    """By choice what was said; and the usage. Of a whole answer, or of the parts of a stream."""
    choices, usage = {}, None
    for part in map(known, found if isinstance(found, list) else [found]):
        usage = part.usage or usage
        for choice in part.choices:
            said = choice.delta if hasattr(choice, "delta") else choice.message
            choices.setdefault(choice.index, Seen()).add(choice, said)
    return choices, usage


def one(found):
    choices, usage = seen_of(found)
    (seen,) = choices.values()
    return seen, usage


def user(text):
    return [{"role": "user", "content": text}]


def create(prompt, **options):
    options = {"model": "tiny", "messages": user(prompt), **options}
    return lambda client: client.chat.completions.create(**options)


def counted(streamed):
    return {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}


def models(client):
    async def listed():
        return [row async for row in client.models.list()]

    return listed() if isinstance(client, openai.AsyncOpenAI) else list(client.models.list())


def transcribe(data=WAV, **options):
    asked = {"model": "tiny", "file": ("sound.wav", data, "audio/wav"), **options}
    return lambda client: client.audio.transcriptions.create(**asked)
