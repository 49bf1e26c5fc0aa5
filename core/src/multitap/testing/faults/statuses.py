"""Refusals: every status that a server may answer with, with its hints and its redirects."""

from __future__ import annotations

from collections.abc import Mapping
from json import dumps

from multitap.testing.answers import respond
from multitap.testing.faults.good import GoodAnswer
from multitap.testing.faults.script import fault_script
from multitap.testing.steps import Script

__all__ = ("ABSURD_HINTS", "REFUSALS", "redirects", "refuses", "refuses_without_a_word")

ABSURD_HINTS = (
    "NaN",
    "inf",
    "-7",
    "soon",
    "Sat, 21 Nov 2009 06:00:30 GMT",
    "Sat, 01 Jan 99999 00:00:00 GMT",
    "31536000",
)
"""Values of ``retry-after`` that tell nothing: no number, below 0, past, or years away."""

REFUSALS: Mapping[str, tuple[int, ...]] = {
    "D1": (400,),
    "D2": (401,),
    "D3": (403,),
    "D4": (404,),
    "D5": (405, 406, 410, 415, 501),
    "D6": (408,),
    "D7": (409,),
    "D8": (413,),
    "D9": (422,),
    "D10": (424,),
    "D13": (429,),
    "D16": (500,),
    "D17": (502, 504),
    "D19": (503,),
    "D20": (529,),
    "D21": (520, 521, 522, 523, 524, 525, 526, 527, 530),
}
"""The statuses of each row that says no more than the status."""


@fault_script("D")
def refuses(
    good: GoodAnswer,
    status: int,
    message: str = "It cannot be done",
    code: str = "",
    headers: Mapping[str, str] | None = None,
) -> Script:
    """A status with a JSON body that says why, and with headers such as `retry-after`."""
    own = {"content-type": "application/json", **(headers or {})}
    return respond(status, own, dumps(good.refusal(message, code)))


@fault_script("D")
def refuses_without_a_word(good: GoodAnswer, status: int) -> Script:
    """A status without a body."""
    return respond(status)


@fault_script("D22")
def redirects(good: GoodAnswer, location: str = "/elsewhere", status: int = 307) -> Script:
    """A redirect: to another path, or to another host."""
    return respond(status, {"location": location})
