"""Slots of a model: what each has computed, written to a file of the server, and read back.

A number that no slot has is taken for another slot by llama-server, whose file it would write over.
So the numbers are looked at first.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import msgspec

from multitap.capabilities.lifecycle import Slot
from multitap.dialects.asking import ask, read_json
from multitap.errors import BadRequest
from multitap.work import HttpCall, HttpReply, Json, fetch
from multitap_llamaserver.models import Props, Row

__all__ = ("slot_after", "slots_of")

Asking = Generator[HttpCall, HttpReply, Any]


class SlotRow(msgspec.Struct):
    """One row of ``/slots``; one that was never asked tells no tokens."""

    id: int
    is_processing: bool | None = None
    n_prompt_tokens: int | None = None
    n_ctx: int | None = None


class Done(msgspec.Struct):
    """What was done: tokens, and bytes of the file. Each action has words of its own."""

    n_saved: int | None = None
    n_written: int | None = None
    n_restored: int | None = None
    n_read: int | None = None
    n_erased: int | None = None

    @property
    def tokens(self) -> int | None:
        """What the slot holds now."""
        if self.n_erased is not None:
            return 0
        return self.n_restored if self.n_saved is None else self.n_saved

    @property
    def size(self) -> int | None:
        """Of the file."""
        return self.n_read if self.n_written is None else self.n_written


def slots_of(row: Row) -> Asking:
    """Inside ``Steps``: every slot of a model."""
    rows = yield from ask(list[SlotRow], "GET", f"/slots{row.query}")
    return [
        Slot(id=r.id, busy=r.is_processing, tokens=r.n_prompt_tokens, context_length=r.n_ctx)
        for r in rows
    ]


def slot_after(row: Row, action: str, slot: int, **file: str) -> Asking:
    """Inside ``Steps``: one slot, saved, restored or erased; a router reads ``model`` there."""
    props: Props = yield from ask(Props, "GET", f"/props{row.query}")
    if props.total_slots is not None and slot not in range(props.total_slots):
        raise BadRequest(
            f"{row.id} has no slot {slot!r}: it has {props.total_slots}, and the first is 0",
            hint="Name one that `multitap slots` lists, or start llama-server with --parallel.",
            kind="slot_unknown",
        )
    path = f"/slots/{slot}?action={action}&autoload=false"
    body = Json({"model": row.id, **file})
    call = HttpCall(method="POST", path=path, body=body, idempotent=True)
    done = read_json(Done, (yield from fetch(call)))
    return Slot(id=slot, tokens=done.tokens, size=done.size)
