"""For each rule that every capability has, a plugin that breaks it, whatever it offers."""

from __future__ import annotations

import asyncio
from functools import partial

from honest_rest import SUITES, suite_of

from multitap.errors import BadRequest
from multitap.events import Failed

COMPLETE = (b"}", b"}\n")


class LosesAByte:
    """A read of nothing but an opening brace is thrown away."""

    def __init__(self, stage):
        self.stage = stage

    def feed(self, data):
        return self.stage.feed(data) if data != b"{" else []

    def finish(self):
        return self.stage.finish()


class MakesItUp:
    """Where the answer breaks off, the rest is guessed."""

    def __init__(self, guess, stage):
        self.guess, self.stage, self.end = guess, stage, b""

    def feed(self, data):
        self.end = data or self.end
        return self.stage.feed(data)

    def finish(self):
        outputs = self.stage.finish()
        cut = self.end.startswith(b"{") and not self.end.endswith(COMPLETE)
        return [self.guess] if cut and any(isinstance(o, Failed) for o in outputs) else outputs


class Raises:
    """What is no JSON at all is more than it can bear."""

    def __init__(self, stage):
        self.stage = stage

    def feed(self, data):
        if data == b"\xff\xfe\xc3(\n\n":
            raise ValueError("no UTF-8")
        return self.stage.feed(data)

    def finish(self):
        return self.stage.finish()


def decoding(honest, wrap):
    """A plugin that reads through another stage."""

    class Lying(honest):
        def decoder(self, shape, record, head):
            return wrap(super().decoder(shape, record, head))

    return Lying


def explaining(honest, lies):
    """A plugin that makes something else of a refusal."""

    class Lying(honest):
        def explain(self, reply):
            return BadRequest("You did it") if lies(reply) else super().explain(reply)

    return Lying


def at_home_only(honest):
    """A plugin that does not work where an event loop runs."""

    class Lying(honest):
        def ask(self, *args):
            if asyncio._get_running_loop():
                raise BadRequest("There is a loop")
            return super().ask(*args)

    return Lying


def liars(capability, guess):
    """The suite of each of them, by the rule that it breaks."""
    honest = SUITES[capability][1]
    lying = {
        "cuts": decoding(honest, LosesAByte),
        "beginnings": decoding(honest, partial(MakesItUp, guess)),
        "garbage": decoding(honest, Raises),
        "errors": explaining(honest, lambda reply: b"No credit" in reply.body),
        "refusals": explaining(honest, lambda reply: reply.body == b"17"),
        "runtime": at_home_only(honest),
    }
    return {f"{capability}/{name}": suite_of(capability, each) for name, each in lying.items()}


def of(capability, **lying):
    """The suite of each of these plugins, by the rule that it breaks."""
    return {f"{capability}/{name}": suite_of(capability, each) for name, each in lying.items()}
