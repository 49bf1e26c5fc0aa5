"""Fault scripts: every way in which a server is known to break an answer, for any dialect.

A script takes the dialect's own good answer, and gives the steps that a ``Server`` plays instead of
it. ``FaultyServer`` plays one for as long as a test says, and then answers well again.

>>> good = GoodAnswer(b'HTTP/1.1 200 OK\\r\\ncontent-length: 9\\r\\n\\r\\n{"t": 42}')
>>> short_body(good)
[send(b'HTTP/1.1 200 OK\\r\\ncontent-length: 9\\r\\n\\r\\n{"t"'), close]
>>> SCRIPTS["short_body"].row, SCRIPTS["short_body"].says
('C1', 'A body that is shorter than its length says')
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from multitap.testing.faults import connecting, content, framing, statuses, waiting
from multitap.testing.faults.connecting import (
    closes_unanswered,
    dead_kept_connection,
    resets_in_handshake,
    resets_unanswered,
    tunnel_broken,
    tunnel_refused,
)
from multitap.testing.faults.content import (
    bad_utf8,
    cut_json,
    deep_json,
    endless_record,
    error_at_once,
    error_midway,
    error_named,
    giant_record,
    glued_records,
    huge_number,
    leading_bom,
    lone_surrogate,
    nan_literal,
    odd_line_ends,
    odd_separators,
    record_over_two_lines,
    split_utf8,
)
from multitap.testing.faults.framing import (
    bad_chunk_size,
    cut_chunk,
    endless_headers,
    endless_informational,
    gzip_bomb,
    gzip_cut,
    html_page,
    html_refusal,
    length_and_chunks,
    other_type,
    short_body,
    stacked_encoding,
    two_lengths,
    unknown_encoding,
)
from multitap.testing.faults.good import GoodAnswer, error_object
from multitap.testing.faults.script import FaultScript, FaultyServer, fault_script
from multitap.testing.faults.statuses import (
    ABSURD_HINTS,
    REFUSALS,
    redirects,
    refuses,
    refuses_without_a_word,
)
from multitap.testing.faults.waiting import (
    closes_without_end,
    cut_off,
    dripped_body,
    dripped_head,
    ends_without_end,
    half_closes,
    never_ends,
    no_first_byte,
    open_after_the_end,
    pings_after_text,
    pings_only,
    resets_in_answer,
    silent,
    silent_after_head,
)

__all__ = (
    "ABSURD_HINTS",
    "REFUSALS",
    "SCRIPTS",
    "FaultScript",
    "FaultyServer",
    "GoodAnswer",
    "bad_chunk_size",
    "bad_utf8",
    "closes_unanswered",
    "closes_without_end",
    "cut_chunk",
    "cut_json",
    "cut_off",
    "dead_kept_connection",
    "deep_json",
    "dripped_body",
    "dripped_head",
    "endless_headers",
    "endless_informational",
    "endless_record",
    "ends_without_end",
    "error_at_once",
    "error_midway",
    "error_named",
    "error_object",
    "fault_script",
    "giant_record",
    "glued_records",
    "gzip_bomb",
    "gzip_cut",
    "half_closes",
    "html_page",
    "html_refusal",
    "huge_number",
    "leading_bom",
    "length_and_chunks",
    "lone_surrogate",
    "nan_literal",
    "never_ends",
    "no_first_byte",
    "odd_line_ends",
    "odd_separators",
    "open_after_the_end",
    "other_type",
    "pings_after_text",
    "pings_only",
    "record_over_two_lines",
    "redirects",
    "refuses",
    "refuses_without_a_word",
    "resets_in_answer",
    "resets_in_handshake",
    "resets_unanswered",
    "short_body",
    "silent",
    "silent_after_head",
    "split_utf8",
    "stacked_encoding",
    "tunnel_broken",
    "tunnel_refused",
    "two_lengths",
    "unknown_encoding",
)

_SECTIONS = (connecting, waiting, framing, content, statuses)
_NAMED = [(name, getattr(section, name)) for section in _SECTIONS for name in section.__all__]
SCRIPTS: Mapping[str, FaultScript] = MappingProxyType(
    {name: script for name, script in _NAMED if isinstance(script, FaultScript)}
)
"""All scripts by name, in the order of the fault matrix."""
