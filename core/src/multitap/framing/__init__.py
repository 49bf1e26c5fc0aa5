"""Decoders on bytes: NDJSON lines, server-sent events, a whole JSON body, and lines of any kind.

A decoder is a ``Stage[bytes, T]``. It cuts the bytes into records, decodes each one into the
author's ``msgspec.Struct``, and hands it to the author's ``record``, whose results are its outputs;
``LineDecoder`` hands on the bytes of each line.
Give every field of the struct a default and let it be ``None``; unknown fields are skipped.

A ``BackendError`` that ``record`` raises becomes ``Failed``, and so does what is wrong with the
bytes themselves (``ProtocolError``, ``TruncatedStream``). After ``Failed`` nothing is put out.

A whole read is decoded at once where its bytes are plain, and faster still where each of its
records is what ``Plain`` describes. Where anything is odd the same read is decoded record by
record, so that the good records before a bad one are never lost.
"""

from __future__ import annotations

from multitap.framing.decoder import Plain
from multitap.framing.json_body import JsonDecoder
from multitap.framing.lines import LineDecoder
from multitap.framing.ndjson import NdjsonDecoder
from multitap.framing.sse import SseDecoder

__all__ = ("JsonDecoder", "LineDecoder", "NdjsonDecoder", "Plain", "SseDecoder")
