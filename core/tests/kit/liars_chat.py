"""For each rule of chat a plugin that breaks it, and is honest otherwise."""

from __future__ import annotations

import asyncio
import threading

from honest import chat_suite, local_suite
from multitap_acme.chat import REASONS, AcmeChat, Reader
from multitap_acme.lamp import LampChat

from multitap.dialects.replies import reply_json
from multitap.errors import BadRequest, ProtocolError
from multitap.events import Reasoning, Stop, Text, Usage
from multitap.testing.kit import Suite
from multitap.work import HttpCall

# ---- how an answer is read -----------------------------------------------------------------------


def reads(reader):
    """The suite of a plugin that reads its answers so."""
    return chat_suite(type("LyingChat", (AcmeChat,), {"reader": reader}))


class ZeroForUnknown(Reader):
    def usage(self, spent):
        return Usage.reported(spent.read, spent.written or 0)


class LosesAByte:
    """A read of nothing but an opening brace is thrown away."""

    def __init__(self, stage):
        self.stage = stage

    def feed(self, data):
        return self.stage.feed(data) if data != b"{" else []

    def finish(self):
        return self.stage.finish()


class Cuts(AcmeChat):
    def decoder(self, head, request):
        return LosesAByte(super().decoder(head, request))


class EndsByItself(Reader):
    """After one word that is all, it takes the end of the bytes for the end of the answer."""

    done = False

    def reason(self, done):
        self.done = True
        return super().reason(done)

    def finish(self):
        if self.said == 1 and not self.done:
            yield Stop("complete")


class SaysNothing(Reader):
    def record(self, line):
        yield from super().record(line)
        if line.word:
            yield Text("")


class HasTuples(Reader):
    def text(self, word):
        return Text(super().text(word).content, provider_options={"span": (0, len(word))})


class SharedReader(AcmeChat):
    """One reader for all attempts; each attempt begins it anew."""

    def decoders(self, request):
        shared = self.reader()

        def decoder(head):
            shared.__init__()
            lying = type("Lying", (AcmeChat,), {"reader": lambda _: shared})
            return lying(self.backend).decoder(head, request)

        return decoder


class TrustsTheServer(Reader):
    def reason(self, done):
        return {"end": "complete", **REASONS}[done]


# ---- what a refusal is made into -----------------------------------------------------------------


class TrustsTheBody(AcmeChat):
    def fault(self, reply):
        return reply_json(reply)["fault"]


class BusyIsYourFault(Reader):
    def failure(self, fault):
        return BadRequest(fault.text or "It failed")


class LongIsBad(AcmeChat):
    def overflow(self, text, fault, facts):
        return BadRequest(text, **facts)


# ---- through a runtime ---------------------------------------------------------------------------


class OnALoopOnly(Reader):
    def usage(self, spent):
        return Usage() if asyncio._get_running_loop() else super().usage(spent)


class WrongFault(Reader):
    """What breaks off is called a broken protocol."""

    done = False

    def reason(self, done):
        self.done = True
        return super().reason(done)

    def finish(self):
        if not self.done:
            raise ProtocolError("The answer has no end")
        yield from ()


class GoesOn(LampChat):
    """Whoever asked, it finishes its sentence."""

    def give(self, emit, events):
        for event in events:
            emit([event])


class WholeWithoutThoughts(AcmeChat):
    def decoder(self, head, request):
        made = super().decoder(head, request)
        return made if request.stream else WithoutThoughts(made)


class WithoutThoughts:
    def __init__(self, stage):
        self.stage = stage

    def feed(self, data):
        return self._kept(self.stage.feed(data))

    def finish(self):
        return self._kept(self.stage.finish())

    def _kept(self, events):
        return [event for event in events if not isinstance(event, Reasoning)]


class KeepsTheQuestion(AcmeChat):
    """What one thread asked is sent for all others."""

    kept = None

    def body(self, request):
        body = super().body(request)
        if threading.current_thread() is threading.main_thread():
            return body
        self.kept = self.kept or body["talk"]
        return {**body, "talk": self.kept}


class TellsTheKey(AcmeChat):
    def decoder(self, head, request):
        auth = self.backend.auth
        words = str(auth(HttpCall(method="POST", path="/talk"), b"")) if auth else ""
        made = super().decoder(head, request)
        return Telling(made, words) if words else made


class Telling:
    def __init__(self, stage, words):
        self.stage = stage
        self.before = [Reasoning("As it was sent", provider_options={"key": words})]

    def feed(self, data):
        before, self.before = self.before, []
        return [*before, *self.stage.feed(data)]

    def finish(self):
        return self.stage.finish()


# ---- what is sent --------------------------------------------------------------------------------


class NoSystem(AcmeChat):
    def turns(self, message):
        return iter(()) if message.role == "system" else super().turns(message)


class DropsTopP(AcmeChat):
    def option(self, request, name):
        return None if name == "top_p" else super().option(request, name)


class DropsZero(AcmeChat):
    def option(self, request, name):
        return super().option(request, name) or None


class DropsPatience(AcmeChat):
    def body(self, request):
        return {k: v for k, v in super().body(request).items() if k != "patience"}


class NamesOnly(AcmeChat):
    def tool(self, tool):
        return {"name": tool.name, "about": tool.description}


class LooksAway(AcmeChat):
    def check(self, part):
        pass


class ThinksAloud(AcmeChat):
    def turns(self, message):
        for turn in super().turns(message):
            yield {**turn, "thought": message.reasoning} if message.reasoning else turn


class PassesOn(AcmeChat):
    def own(self, meta):
        return next(iter(meta.values()), None)


class FirstCall(AcmeChat):
    def calls(self, message):
        calls = super().calls(message)
        return {"calls": calls["calls"][:1]} if calls else {}


LIARS: dict[str, type[Suite]] = {
    "chat/answer": reads(ZeroForUnknown),
    "chat/cuts": chat_suite(Cuts),
    "chat/beginnings": reads(EndsByItself),
    "chat/grammar": reads(SaysNothing),
    "chat/json": reads(HasTuples),
    "chat/fresh": chat_suite(SharedReader),
    "chat/garbage": reads(TrustsTheServer),
    "chat/refusals": chat_suite(TrustsTheBody),
    "chat/errors": reads(BusyIsYourFault),
    "chat/context": chat_suite(LongIsBad),
    "chat/worlds": reads(OnALoopOnly),
    "chat/truncated": reads(WrongFault),
    "chat/close": local_suite(GoesOn),
    "chat/whole": chat_suite(WholeWithoutThoughts),
    "chat/threads": chat_suite(KeepsTheQuestion),
    "chat/key": chat_suite(TellsTheKey),
    "chat/said": chat_suite(NoSystem),
    "chat/options": chat_suite(DropsTopP),
    "chat/absent": chat_suite(DropsZero),
    "chat/parameters": chat_suite(DropsPatience),
    "chat/schema": chat_suite(NamesOnly),
    "chat/parts": chat_suite(LooksAway),
    "chat/thoughts": chat_suite(ThinksAloud),
    "chat/meta": chat_suite(PassesOn),
    "chat/calls": chat_suite(FirstCall),
}
