"""The flow, carried out by a scripted interpreter: no socket, no thread, no clock."""

from __future__ import annotations

from multitap.engine.call import Call
from multitap.engine.commands import Pour, Read, Send, Take
from multitap.errors import BadRequest, EngineError, ProviderDown, RateLimited
from multitap.events import Failed, Stop, Text
from multitap.policy.retry import Retry, RetryBudget, RetryPolicy
from multitap.work import Backend, Exchange, Head, HttpCall, Out

BACKEND = Backend(id="here", provider="acme", endpoint="http://127.0.0.1:1")
OK = Head(200, {})


class Letters:
    """Each byte is a text; ``.`` is the end; ``!`` fails."""

    def feed(self, data):
        return [event for letter in data.decode() for event in self._event(letter)]

    def _event(self, letter):
        if letter == "!":
            return [Failed(EngineError("It broke"))]
        return [Stop("complete")] if letter == "." else [Text(letter)]

    def finish(self):
        return []


def explain(reply):
    kind = {400: BadRequest, 429: RateLimited}.get(reply.status, ProviderDown)
    return kind(reply.body.decode() or "No reason given")


def post(decoder=lambda head: Letters(), **facts):
    call = HttpCall(method="POST", path="/chat", **facts)
    return Exchange(call=call, decoder=decoder, explain=explain)


def a_call(work, **facts):
    retry = Retry(RetryPolicy(), RetryBudget(lambda: 0.0), clock=lambda: 0.0, draw=lambda: 1.0)
    known = {"backend": BACKEND, "model": "tiny", "distribution": "multitap-acme", "retry": retry}
    return Call(**{**known, "work": work, "ends_with_stop": True, **facts})


def drive(flow, script):
    """Answers each command from the script; returns the commands and what was given out."""
    seen, given, error = course(flow, script)
    if error is not None:
        raise error
    return seen, given


def course(flow, script):
    """As ``drive``, with the error that ended the flow, if one did."""
    answers, seen, given = iter(script), [], []
    commands = flow.run()
    resume, answer = commands.send, None
    while True:
        try:
            command = resume(answer)
        except StopIteration:
            return seen, given, None
        except Exception as error:
            return seen, given, error
        if isinstance(command, Pour):
            answer = poured(command, lambda: next(answers), seen, given)
        else:
            seen.append(type(command).__name__)
            given.extend(command.items if isinstance(command, Out) else ())
            answer = next(answers) if isinstance(command, (Send, Read, Take)) else None
        resume = commands.throw if isinstance(answer, BaseException) else commands.send


def poured(pour, read, seen, given):
    """Carry out a ``Pour``: reads and what is given out are noted; returns what went wrong."""
    while not pour.over:
        seen.append("Read")
        data = read()
        if isinstance(data, BaseException) or not data:
            return data or None
        try:
            items, pour.over = pour.step(data)
        except Exception as error:
            return error
        if items:
            seen.append("Out")
            given.extend(items)
    return None


def text(given):
    return "".join(event.content for event in given if isinstance(event, Text))
