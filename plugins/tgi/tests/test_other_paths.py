"""TGI's other paths, which the plugin does not call: their frames are read all the same."""

from __future__ import annotations

import msgspec
import pytest
import tgi_reader

from multitap.framing import JsonDecoder, SseDecoder
from multitap.testing.chunking import outputs_of

NAMES = tgi_reader.names("test_other_paths")
TYPES = {name: tgi_reader.recorded(name).headers.get("content-type") for name in NAMES}
STREAMS = [name for name, kind in TYPES.items() if kind == "text/event-stream"]
BODIES = [name for name, kind in TYPES.items() if kind == "application/json"]
SILENT = sorted({*NAMES} - {*STREAMS, *BODIES})


class Record(msgspec.Struct):
    """Of a record of any path, what tells it from others."""

    token: dict | None = None
    generated_text: str | None = None
    choices: list | None = None
    error: object = None

    @property
    def facts(self):
        return (self.token, self.generated_text, self.choices, self.error)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_of_any_path_is_framed_as_a_plain_reader_frames_it(name):
    recorded = tgi_reader.recorded(name)
    plain = [msgspec.convert(value, Record).facts for value in tgi_reader.objects(recorded.body)]

    def read(pieces):
        return outputs_of(SseDecoder(Record, lambda record: [record.facts]), pieces)

    assert read([recorded.body]) == plain
    assert read(recorded.body[at : at + 1] for at in range(len(recorded.body))) == plain


@pytest.mark.parametrize("name", BODIES)
def test_a_body_of_any_path_is_one_value(name):
    recorded = tgi_reader.recorded(name)
    decoder = JsonDecoder(object, lambda value: [value])
    found = [*decoder.feed(recorded.body), *decoder.finish()]
    assert found == tgi_reader.objects(recorded.body)


@pytest.mark.parametrize("name", SILENT)
def test_the_rest_says_nothing_in_json(name):
    assert tgi_reader.objects(tgi_reader.recorded(name).body) == []


def test_trap_the_native_stream_has_no_done_and_its_last_record_has_the_whole_text():
    plain = tgi_reader.objects(tgi_reader.recorded("generate_stream").body)
    assert [bool(value["generated_text"]) for value in plain].count(True) == 1
    assert plain[-1]["generated_text"]
    assert b"[DONE]" not in tgi_reader.recorded("generate_stream").body
