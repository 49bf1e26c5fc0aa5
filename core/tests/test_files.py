"""Files that an application passes: read, measured and looked at before anything is sent."""

from __future__ import annotations

import io
import os
import wave
from pathlib import Path

import pytest

from multitap.errors import ConfigError
from multitap.files import picture_file, sound_file
from multitap.signatures import suffix_of, type_of
from multitap.work import File

JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0"
PNG = b"\x89PNG\r\n\x1a\n"


def wav(samples=b"\0\0" * 8):
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", "not compressed"))
        sound.writeframes(samples)
    return file.getvalue()


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "hello.wav"
    found.write_bytes(wav())
    return found


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (wav(), "audio/wav"),
        (b"RF64\xff\xff\xff\xffWAVEds64", "audio/wav"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90\x64", "audio/mpeg"),
        (b"\xff\xf3\x90", "audio/mpeg"),
        (b"\xff\xf1\x50", "audio/aac"),
        (b"fLaC\0", "audio/flac"),
        (b"OggS\0\x02", "audio/ogg"),
        (b"\0\0\0\x20ftypM4A ", "audio/mp4"),
        (b"\x1a\x45\xdf\xa3\x9f", "audio/webm"),
        (b"FORM\0\0\0\nAIFF", "audio/aiff"),
        (b"#!AMR\n", "audio/amr"),
        (PNG, "image/png"),
        (JPEG, "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\n\n\n\nWEBP", "image/webp"),
        (b"%PDF-1.7", "application/pdf"),
        (b"RIFF\0\0\0\0AVI ", None),
        (b"\xff\xfeh\0i\0", None),  # a text in UTF-16
        (b"\xff\xff", None),
        (b"hello", None),
        (b"", None),
    ],
)
def test_a_file_is_what_it_begins_with(head, kind):
    assert type_of(head) == kind
    assert kind is None or suffix_of(kind).startswith(".")


def test_a_path_is_not_read_into_memory(path):
    assert sound_file(path) == File("hello.wav", path, "audio/wav")
    assert sound_file(str(path)) == sound_file(path)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_get_a_name_that_tells_their_format(kind):
    assert sound_file(kind(wav())) == File("sound.wav", wav(), "audio/wav")
    assert picture_file(JPEG) == File("picture.jpg", JPEG, "image/jpeg")


def test_an_open_file_keeps_its_name(path):
    with path.open("rb") as opened:
        assert sound_file(opened) == File("hello.wav", wav(), "audio/wav")
    assert sound_file(io.BytesIO(wav())).name == "sound.wav"
    with os.fdopen(os.open(path, os.O_RDONLY), "rb") as opened:  # its name is a number
        assert sound_file(opened).name == "sound.wav"


def test_a_name_without_an_ending_gets_one(path):
    bare = path.rename(path.with_suffix(""))
    assert sound_file(bare).name == "hello.wav"


class Drops:
    """Gives a byte at a time, and wants to be told how much is wanted."""

    def __init__(self, data):
        self.rest = data

    def read(self, size=-1):
        assert size >= 0
        drop, self.rest = self.rest[:1], self.rest[1:]
        return drop


def test_an_open_file_may_give_less_than_is_there_and_no_more_than_is_allowed_is_asked_for():
    assert sound_file(Drops(wav())).source == wav()
    with pytest.raises(ConfigError, match="more than 9 bytes"):
        sound_file(Drops(wav()), 9)


class Broken(io.RawIOBase):
    def read(self, size=-1):
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda here: here / "none.wav", ["none.wav", "No such file", "Check the path"]),
        (lambda here: here, ["is no file"]),
        (lambda here: "a\0b", ["null"]),
        (lambda here: b"", ["The file is empty"]),
        (lambda here: JPEG, ["image/jpeg, not a sound", "Pass WAV"]),
        (lambda here: b"hello, world", ["begins like no sound"]),
        (lambda here: io.StringIO("hello"), ["as text", 'open(path, "rb")']),
        (lambda here: Broken(), ["Input/output error"]),
        (lambda here: 7, ["int is no sound"]),
        (lambda here: None, ["NoneType is no sound"]),
    ],
)
def test_what_is_no_sound_is_told_before_anything_is_sent(tmp_path, make, said):
    with pytest.raises(ConfigError) as caught:
        sound_file(make(tmp_path))
    assert [words for words in said if words not in str(caught.value)] == []


def test_a_wav_that_is_a_jpeg(path):
    path.write_bytes(JPEG)
    with pytest.raises(ConfigError, match=r"hello\.wav is image/jpeg, not a sound") as caught:
        sound_file(path)
    assert caught.value.file is None
    with pytest.raises(ConfigError, match="is audio/wav, not a picture"):
        picture_file(wav())


@pytest.mark.parametrize("make", [bytes, io.BytesIO, None])
def test_a_file_that_is_too_large_says_how_to_allow_it(path, make):
    source = make(wav()) if make else path
    size = len(wav())
    assert sound_file(source, size).content_type == "audio/wav"
    if hasattr(source, "seek"):
        source.seek(0)
    with pytest.raises(ConfigError, match=f"more than {size - 1} bytes.*max_file_bytes"):
        sound_file(source, size - 1)


def test_a_pipe_is_no_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="is no file"):
        sound_file(Path(pipe))
