"""A pytest plugin: a test that shows one of ``fake_secrets`` fails.

Looked at is what a test printed and logged, also where it was captured by the test itself or came
from another process; every error of Multitap that was made; of every call that failed all that an
application can see of it; and what observers are told. It costs a search for each text.
"""

from __future__ import annotations

import subprocess
import traceback
from collections.abc import Callable, Generator
from functools import wraps
from typing import Any

import pytest
from _pytest.capture import CaptureFixture
from fake_secrets import shown_in

from multitap.engine.outcome import Outcome
from multitap.errors import MultitapError
from multitap.redaction import forget
from multitap.registry.extensions import Observed

_heard: list[str] = []


def listen(place: str, *texts: object) -> None:
    """Note it where one of the texts shows a fake secret."""
    for text in texts:
        plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        _heard.extend(f"{place}: {found}" for found in shown_in(plain))


def told(error: BaseException) -> str:
    """All that an application, or its log, can show of an error."""
    texts = [*traceback.format_exception(type(error), error, error.__traceback__), repr(error)]
    for name in ("to_dict", "attempts", "request_id", "partial"):
        value = getattr(error, name, None)
        texts.append(repr(value() if name == "to_dict" and value else value))
    return "\n".join(texts)


def _after(owner: Any, name: str, hear: Callable[..., None]) -> None:
    """Have a method of a class heard after each call: what it was given, and what it gave."""
    method = getattr(owner, name)

    @wraps(method)
    def heard(self: Any, *args: Any, **options: Any) -> Any:
        result = method(self, *args, **options)
        hear(self, result, *args)
        return result

    setattr(owner, name, heard)


def pytest_configure(config: pytest.Config) -> None:
    """Listen, in this process, until its end."""
    _after(CaptureFixture, "readouterr", lambda _, found: listen("what was printed", *found))
    _after(subprocess.CompletedProcess, "__init__", _process)
    _after(MultitapError, "__init__", _error)
    _after(Outcome, "failed", lambda _, __, error: listen("a failed call", told(error)))
    _after(Observed, "tell", lambda _, __, *facts: listen("what an observer is told", facts))


def _error(made: MultitapError, *_: object) -> None:
    listen(f"a {type(made).__name__}", made.message, made.hint)


def _process(done: subprocess.CompletedProcess[Any], *_: object) -> None:
    listen("what a process printed", done.stdout or "", done.stderr or "")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What an earlier test made known hides no leak of this one."""
    forget()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A leak fails the phase of the test in which it came."""
    report = yield
    for name, text in report.sections:
        if name.endswith(report.when):
            listen(name, text)
    if report.failed:
        listen("why it failed", report.longreprtext)
    leaks, _heard[:] = sorted(set(_heard)), []
    if leaks:
        before = f"{report.longreprtext}\n" if report.failed else ""
        report.outcome = "failed"
        report.longrepr = f"{before}A secret was shown in\n  " + "\n  ".join(leaks)
    return report
