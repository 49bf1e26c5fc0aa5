"""Thinking in a model's text."""

from fuzz.answers import answer_of, filtered, is_within, said

from multitap.capabilities.chat import ThinkTags
from multitap.events import Reasoning
from multitap.filters.think import SEPARATOR, ThinkFilter

KINDS = (
    ThinkTags(),
    ThinkTags(opened=True),
    ThinkTags(anywhere=True),
    ThinkTags(opened=True, anywhere=True),
    ThinkTags(open="[THINK]", close="[/THINK]"),
    ThinkTags(open="<t>", close="<t>", anywhere=True),
)
WORDS = (
    *(b"<think>", b"</think>", b"<think a='b'>", b"<thi", b"</th", b"\n", b" ", b"[THINK]"),
    *(b"[/THINK]", b"<t>", b"<THINK>", b"\0\1", b"\0\4", b"\0\6", b"\0\7", b"\xc3\xa9"),
)


def check(data):
    tags = KINDS[data[0] % len(KINDS)] if data else KINDS[0]
    events = answer_of(data[2:])
    found = filtered(lambda: ThinkFilter(tags), events, data[1:2])
    for choice in (0, 1):
        asked, told = said(events, choice), said(found, choice)
        assert is_within(told.replace(SEPARATOR, ""), asked)
        assert len(told) <= len(asked)
    if not any(tag in said(events).lower() for tag in (tags.close.lower(), tags.open[:-1].lower())):
        whole = [event for event in found if not isinstance(event, Reasoning)]
        assert tags.opened or said(whole) == said([e for e in events if type(e) is not Reasoning])
