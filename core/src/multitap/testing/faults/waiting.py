"""Faults of time: silence, drip, and answers that break off or never end."""

from __future__ import annotations

from multitap.testing.faults.good import LAST_CHUNK, GoodAnswer, chunk
from multitap.testing.faults.script import fault_script
from multitap.testing.steps import (
    Script,
    client_closed,
    close,
    drip,
    half_close,
    repeat,
    reset,
    send,
    sleep,
)

__all__ = (
    "closes_without_end",
    "cut_off",
    "dripped_body",
    "dripped_head",
    "ends_without_end",
    "half_closes",
    "never_ends",
    "no_first_byte",
    "open_after_the_end",
    "pings_after_text",
    "pings_only",
    "resets_in_answer",
    "silent",
    "silent_after_head",
)

PAUSE = 0.01  # seconds, short beside every clock


@fault_script("B1")
def no_first_byte(good: GoodAnswer) -> Script:
    """The request is taken, and nothing is said."""
    return client_closed


@fault_script("B2")
def silent(good: GoodAnswer) -> Script:
    """Half of the answer, then nothing more."""
    return [send(good.begun(*good.half)), client_closed]


@fault_script("B2")
def silent_after_head(good: GoodAnswer) -> Script:
    """Status and headers, then nothing more."""
    return [send(good.begun()), client_closed]


@fault_script("B3")
def pings_only(good: GoodAnswer) -> Script:
    """Status and headers, then for ever what says nothing."""
    return [send(good.begun()), repeat(send(chunk(good.ping)), sleep(PAUSE))]


@fault_script("B3")
def pings_after_text(good: GoodAnswer) -> Script:
    """Half of the answer, then for ever what says nothing."""
    return [send(good.begun(*good.half)), repeat(send(chunk(good.ping)), sleep(PAUSE))]


@fault_script("B4")
def dripped_head(good: GoodAnswer) -> Script:
    """A header that comes byte by byte and never ends."""
    return [send("HTTP/1.1 200 OK\r\nx-drip: "), repeat(send("."), sleep(PAUSE))]


@fault_script("B4")
def dripped_body(good: GoodAnswer) -> Script:
    """A body that comes byte by byte, far too slowly."""
    return [send(good.begun()), drip(chunk(good.body) + LAST_CHUNK, pause=5 * PAUSE)]


@fault_script("B5")
def resets_in_answer(good: GoodAnswer) -> Script:
    """Half of the answer, then a reset."""
    return [send(good.begun(*good.half)), sleep(PAUSE), reset]


@fault_script("B6")
def cut_off(good: GoodAnswer) -> Script:
    """Half of the answer, and the connection is closed inside its framing."""
    return [send(good.begun(*good.half)), close]


@fault_script("B6")
def half_closes(good: GoodAnswer) -> Script:
    """Half of the answer, then the word that no more is coming; the socket stays open."""
    return [send(good.begun(*good.half)), half_close, client_closed]


@fault_script("B6")
def closes_without_end(good: GoodAnswer) -> Script:
    """A body that ends with the connection, closed after half of the answer."""
    return [send(good.head(connection="close") + b"".join(good.half)), close]


@fault_script("B6")
def ends_without_end(good: GoodAnswer) -> Script:
    """Half of the answer in a framing that is whole, on a connection that is kept."""
    return send(good.of(good.half))


@fault_script("B7")
def open_after_the_end(good: GoodAnswer) -> Script:
    """All of the answer, but not the end of its framing."""
    if not good.streamed:
        return send(good.raw)
    return [send(good.begun(*good.records)), client_closed]


@fault_script("B8")
def never_ends(good: GoodAnswer) -> Script:
    """The answer begins, and its middle is said for ever."""
    if not good.streamed:
        return [send(good.begun(b" ")), repeat(send(chunk(b" ")), sleep(PAUSE))]
    middle = next(record for record in good.records if good.word in record)
    return [send(good.begun(*good.half)), repeat(send(chunk(middle)), sleep(PAUSE))]
