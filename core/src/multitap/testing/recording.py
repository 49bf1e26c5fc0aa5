"""Recorded HTTP traffic: read, taken apart, and replayed at the recorded cuts or at others."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import attrs

from multitap.testing.received import header_lines, unchunked
from multitap.testing.steps import Script, client_closed, close, drip, request, reset
from multitap.work import Head, HttpReply

__all__ = ("Recording",)

_INTERIM = re.compile(rb"HTTP/1\.[01] 1\d\d")
_ENDS: dict[str, Script] = {
    "response complete, connection left open": [],
    "server closed the connection": close,
    "server reset the connection": reset,
    "client closed: abort": client_closed,
    "client closed: time limit": client_closed,
}


@attrs.frozen(kw_only=True, repr=False)
class Recording:
    """One request and its answer, as they went over a socket.

    Attributes:
        scenario: Its name.
        note: What is particular about it.
        request: The request's raw bytes.
        reads: The answer's raw bytes, as they came in one read after another.
        times: When each came, in milliseconds after the request; empty where nobody looked.
        ended: How the connection was left: ``response complete, connection left open``,
            ``server closed the connection``, ``server reset the connection``,
            ``client closed: abort`` or ``client closed: time limit``.
    """

    scenario: str
    note: str = ""
    request: bytes
    reads: tuple[bytes, ...]
    times: tuple[float, ...] = ()
    ended: str = attrs.field(
        default="response complete, connection left open", validator=attrs.validators.in_(_ENDS)
    )

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Read a recording's JSON file."""
        from json import loads

        data = loads(Path(path).read_text("utf-8"))
        answer = data["response"]
        return cls(
            scenario=data["scenario"],
            note=data.get("note") or "",
            request=_bytes(data["request"]),
            reads=tuple(map(_bytes, answer["reads"])),
            times=tuple(read["t_ms"] for read in answer["reads"] if "t_ms" in read),
            ended=answer["ended"],
        )

    def to_dict(self) -> dict[str, Any]:
        """What ``load`` reads: the JSON form."""
        times = self.times or (0.0,) * len(self.reads)
        reads = [{"t_ms": at, **_part(data)} for at, data in zip(times, self.reads, strict=True)]
        return {
            "scenario": self.scenario,
            "note": self.note,
            "request": _part(self.request),
            "response": {"ended": self.ended, "reads": reads},
        }

    def __repr__(self) -> str:
        return f"<Recording {self.scenario}, {len(self.response)} bytes, {self.ended}>"

    # ---- the answer, taken apart -----------------------------------------------------------------

    @property
    def response(self) -> bytes:
        """The answer's raw bytes: status line, headers, chunk sizes and all."""
        return b"".join(self.reads)

    @property
    def status(self) -> int:
        """The answer's status."""
        return int(self._taken_apart()[0].split(" ")[1])

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers; names in lower case, repeated ones joined by a comma."""
        return self._taken_apart()[1]

    @property
    def body(self) -> bytes:
        """The answer's body without its chunks; what there is of it, where it broke off."""
        _, headers, rest = self._taken_apart()
        if headers.get("transfer-encoding", "").lower().endswith("chunked"):
            return unchunked(rest)[0]
        return rest[: int(headers.get("content-length", len(rest)))]

    @property
    def head(self) -> Head:
        """Status and headers, as the decoder's factory of an ``Exchange`` is given them."""
        return Head(self.status, self.headers)

    @property
    def reply(self) -> HttpReply:
        """The whole answer, as ``explain`` is given it."""
        return HttpReply(self.status, self.headers, self.body)

    def _taken_apart(self) -> tuple[str, dict[str, str], bytes]:
        rest = self.response
        while True:
            head, end, rest = rest.partition(b"\r\n\r\n")
            if not end:
                raise ValueError(f"{self.scenario} has no answer: {self.ended}")
            if not _INTERIM.match(head):
                return (*header_lines(head), rest)

    # ---- replayed --------------------------------------------------------------------------------

    def answer(self, cuts: Sequence[int] | None = None) -> Script:
        """Steps that send the answer and end as it did; an open connection stays open.

        Args:
            cuts: Positions in ``response`` to cut at; by default those of the recorded reads.
        """
        places = list(accumulate(map(len, self.reads)))[:-1] if cuts is None else cuts
        return [drip(self.response, cuts=places), _ENDS[self.ended]]

    def script(self, cuts: Sequence[int] | None = None) -> Script:
        """The script of a whole connection: the request, the answer, the end.

        Where the connection was left open, the client closes it.
        """
        return [request, self.answer(cuts), *([] if _ENDS[self.ended] else [client_closed])]


def _bytes(part: Mapping[str, Any]) -> bytes:
    text: str | None = part.get("text")
    return base64.b64decode(part["b64"]) if text is None else text.encode()


def _part(data: bytes) -> dict[str, str]:
    """Bytes as text, where they are one that comes back as it was."""
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(data).decode("ascii")}
