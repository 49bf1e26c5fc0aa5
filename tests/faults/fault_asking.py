"""How tests of faults ask: the answer, or the error with what there is of one."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from fault_answers import TEXT

from multitap.errors import BackendError
from multitap.testing import CEILING

KEY = "sk-canary-1234567890"


def config(plugin, url, **section):
    section = {"endpoint": url, "api_key": KEY, **section}
    return {"defaults": {"model": f"{plugin}:tiny"}, plugin: section}


def ask(here, streamed, **asked):
    """The answer."""
    if streamed:
        return here.stream("hi", **asked)[1].answer
    return here.call("chat", "hi", **asked)


def ended(here, streamed, **asked):
    """The error, or ``None``, and the answer or what there is of it."""
    try:
        return None, ask(here, streamed, **asked)
    except BackendError as raised:
        error = raised
    assert KEY not in f"{error} {error!r} {error.to_dict()} {error.__cause__!r}"
    return error, error.partial


def works(here, streamed):
    """Is the backend there for the next caller, at the first attempt?"""
    error, answer = ended(here, streamed)
    return (error, answer.text, len(answer.attempts)) == (None, TEXT, 1)


def facts(error):
    """What a program can know of an error."""
    return type(error), error.kind, error.phase, len(error.attempts)


@contextmanager
def threads_freed():
    """Every thread that is begun inside has ended afterwards."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(CEILING)
        assert not thread.is_alive()
