"""Faults before any answer: of the handshake, of a proxy, of a connection that was kept."""

from __future__ import annotations

from multitap.testing.answers import respond
from multitap.testing.connection import Connection
from multitap.testing.faults.good import GoodAnswer
from multitap.testing.faults.script import fault_script
from multitap.testing.steps import Script, client_closed, close, reset, send

__all__ = (
    "closes_unanswered",
    "dead_kept_connection",
    "resets_in_handshake",
    "resets_unanswered",
    "tunnel_broken",
    "tunnel_refused",
)


async def _first_byte(connection: Connection) -> None:
    await connection.take(1)


@fault_script("A3", at_once=True)
def resets_in_handshake(good: GoodAnswer) -> Script:
    """Reset as soon as the client has begun to speak."""
    return [_first_byte, reset]


@fault_script("A6")
def tunnel_refused(good: GoodAnswer, status: int = 407) -> Script:
    """A proxy answers a CONNECT with 407, or with another refusal."""
    return [respond(status, {"proxy-authenticate": "Basic"}), close]


@fault_script("A6")
def tunnel_broken(good: GoodAnswer) -> Script:
    """A proxy answers a CONNECT with something that is no HTTP."""
    return [send("SSH-2.0-OpenSSH_9.6\r\n\r\n"), client_closed]


@fault_script("A7")
def dead_kept_connection(good: GoodAnswer) -> Script:
    """A good answer that promises to keep the connection, which is closed at once."""
    return [send(good.raw), close]


@fault_script("A7")
def closes_unanswered(good: GoodAnswer) -> Script:
    """The connection is closed instead of an answer."""
    return close


@fault_script("A7")
def resets_unanswered(good: GoodAnswer) -> Script:
    """The connection is reset instead of an answer."""
    return reset
