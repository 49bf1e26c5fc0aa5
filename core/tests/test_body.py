"""Bodies as bytes."""

import email
import json
from collections import namedtuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.engine import body
from multitap.engine.blocks import BLOCK, Pieces
from multitap.engine.body import encode
from multitap.errors import ConfigError, LocalError
from multitap.work import File, Json, Multipart


def test_nothing_and_bytes():
    assert [encode(None), encode(b"as it is")] == [({}, b""), ({}, b"as it is")]


def test_json():
    value = {"a": [1, 2.5, None, True, "é"], "b": {}}
    headers, data = encode(Json(value))
    assert (headers, json.loads(data)) == ({"content-type": "application/json"}, value)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("wrap", [lambda n: n, lambda n: {"a": [1, (n,)]}], ids=["bare", "deep"])
def test_what_is_no_number_is_refused(number, wrap):
    with pytest.raises(ConfigError, match="NaN"):
        encode(Json(wrap(number)))


def test_text_that_looks_like_null_is_sent():
    assert encode(Json({"a": "null", "b": None}))[1] == b'{"a":"null","b":null}'


@pytest.mark.parametrize("value", [object(), {"a": "\ud800"}])
def test_what_has_no_json_form_is_refused(value):
    with pytest.raises(ConfigError, match="no JSON form"):
        encode(Json(value))


def test_value_that_holds_itself_is_refused():
    value: list = []
    value.append(value)
    with pytest.raises(ConfigError, match="no JSON form"):
        encode(Json(value))


def sent(content) -> bytes:
    """What goes over the wire."""
    if isinstance(content, bytes):
        return content
    with content.blocks() as blocks:
        data = b"".join(blocks)
    assert len(data) == len(content)
    return data


def test_file_in_memory():
    file = File("a.wav", b"sound", "audio/wav")
    assert encode(file) == ({"content-type": "audio/wav"}, b"sound")


def test_file(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"sound")
    headers, content = encode(File("a.wav", path, "audio/wav"))
    assert (headers, sent(content)) == ({"content-type": "audio/wav"}, b"sound")


def test_file_is_read_anew_each_time(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1")
    file = File("a", path)
    first = sent(encode(file)[1])
    path.write_bytes(b"22")
    assert (first, sent(encode(file)[1])) == (b"1", b"22")


def test_each_attempt_reads_from_the_beginning(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"content")
    content = encode(File("a", path))[1]
    assert [sent(content) for _ in range(2)] == [b"content"] * 2


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_file_is_read_block_by_block(tmp_path, size):
    path = tmp_path / "a"
    path.write_bytes(bytes(size))
    content = encode(File("a", path))[1]
    with content.blocks() as blocks:
        lengths = [len(block) for block in blocks]
    assert (sum(lengths), len(content)) == (size, size)
    assert all(length <= BLOCK for length in lengths)


def test_file_that_grew_is_sent_as_it_was_measured(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12")
    content = encode(File("a", path))[1]
    path.write_bytes(b"1234")
    assert sent(content) == b"12"


def test_file_that_shrank_is_an_error(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1234")
    content = encode(File("a", path))[1]
    path.write_bytes(b"12")
    with pytest.raises(LocalError, match="shorter"):
        sent(content)


def test_file_that_went_away_is_an_error(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1234")
    content = encode(File("a", path))[1]
    path.unlink()
    with pytest.raises(LocalError, match="Cannot read"):
        sent(content)


def test_folder_is_no_file(tmp_path):
    with pytest.raises(LocalError, match="Cannot read"):
        encode(File("a", tmp_path))


def test_nothing_is_read_after_the_end(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(3 * BLOCK))
    content = encode(File("a", path))[1]
    with content.blocks() as blocks:
        blocks.read()
    assert blocks.read() == b""


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(LocalError, match="nowhere"):
        encode(File("a", Path(tmp_path / "nowhere")))


def test_content_type_cannot_end_its_line():
    with pytest.raises(ConfigError, match="malformed"):
        encode(File("a", b"", "text/plain\r\nx: y"))


Part = namedtuple("Part", "name filename content")


def parts(form: Multipart) -> list[Part]:
    headers, content = encode(form)
    parsed = email.message_from_bytes(
        b"content-type: " + headers["content-type"].encode() + b"\r\n\r\n" + sent(content)
    )
    return [
        Part(
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get_payload(decode=True),
        )
        for part in parsed.get_payload()
    ]


def test_form():
    form = Multipart({"model": "whisper"}, {"file": File("a.wav", b"\x00\r\n--x", "audio/wav")})
    assert parts(form) == [
        Part("model", None, b"whisper"),
        Part("file", "a.wav", b"\x00\r\n--x"),
    ]


def test_form_with_a_file_on_disk(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"\x00sound\r\n")
    form = Multipart({"model": "whisper"}, {"file": File("a.wav", path), "b": File("b", b"more")})
    assert isinstance(encode(form)[1], Pieces)
    assert parts(form) == [
        Part("model", None, b"whisper"),
        Part("file", "a.wav", b"\x00sound\r\n"),
        Part("b", "b", b"more"),
    ]


def test_form_with_several_files_of_one_name(tmp_path):
    path = tmp_path / "b.png"
    path.write_bytes(b"second")
    form = Multipart({}, {"image[]": (File("a.png", b"first"), File("b.png", path))})
    assert parts(form) == [
        Part("image[]", "a.png", b"first"),
        Part("image[]", "b.png", b"second"),
    ]


@given(st.text(), st.text(), st.text())
def test_no_name_leaves_its_place(name, value, filename):
    form = Multipart({name: value}, {name: File(filename, b"content")})
    _, data = encode(form)
    lines = data.split(b"\r\n")
    assert sum(line.startswith(b"Content-Disposition: form-data; name=") for line in lines) >= 2
    heads = [line for line in lines if line.startswith(b"Content-Disposition")]
    assert all(head.count(b'"') in (2, 4) and b"\n" not in head for head in heads[-1:])


def test_boundary_is_never_part_of_the_content(monkeypatch):
    drawn = iter(["aaaa", "bbbb"])
    monkeypatch.setattr(body.secrets, "token_hex", lambda _: next(drawn))
    headers, _ = encode(Multipart({"a": "xaaaax"}, {}))
    assert headers["content-type"] == "multipart/form-data; boundary=bbbb"
