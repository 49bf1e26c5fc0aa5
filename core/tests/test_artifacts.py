"""Sounds and pictures in files: whole or not at all."""

from __future__ import annotations

import base64
import os
import wave

import pytest

from multitap.artifacts import Picture, Pictures, Sound, save, whole_file
from multitap.errors import ConfigError, LocalError
from multitap.events import AudioData, ImageData, Usage

PNG = b"\x89PNG\r\n"


def test_a_sound_is_its_pieces():
    pieces = [AudioData(b"a", "audio/pcm", 24000), AudioData(b"b", "audio/pcm", 24000)]
    assert Sound.of(pieces) == Sound(b"ab", "audio/pcm", 24000)


def test_bare_samples_become_a_wav_where_the_name_says_so(tmp_path):
    sound = Sound(b"\1\0\2\0", "audio/pcm", 8000)
    with wave.open(str(sound.save(tmp_path / "a.WAV"))) as read:
        assert read.getparams()[:4] == (1, 2, 8000, 2)
        assert read.readframes(9) == b"\1\0\2\0"
    assert sound.save(str(tmp_path / "a.pcm")).read_bytes() == sound.data
    assert Sound(b"RIFF", "audio/wav").save(tmp_path / "b.wav").read_bytes() == b"RIFF"


@pytest.mark.parametrize("sound", [Sound(b"ID3", "audio/mpeg"), Sound(b"\0\0", "audio/pcm")])
def test_what_is_no_bare_sound_of_a_known_rate_cannot_be_made_into_wav(sound):
    with pytest.raises(ConfigError, match="format='wav'"):
        sound.wav()


def test_one_picture_is_saved_under_its_name_and_several_are_numbered(tmp_path):
    one = Pictures([Picture(PNG, "image/png")])
    assert one.save(tmp_path / "cat.png") == [tmp_path / "cat.png"]
    assert one.save(tmp_path / "cat") == [tmp_path / "cat.png"]
    two = Pictures([Picture(PNG, "image/png"), Picture(b"\xff\xd8\xff", "image/jpeg")])
    assert two.save(tmp_path / "dog.png") == [tmp_path / "dog-1.png", tmp_path / "dog-2.png"]
    assert two.save(tmp_path / "dog") == [tmp_path / "dog-1.png", tmp_path / "dog-2.jpg"]
    assert (tmp_path / "dog-2.png").read_bytes() == two[1].data
    assert two.usage == Usage()


def test_a_picture_tells_what_its_prompt_became():
    event = ImageData(PNG, "image/png", provider_options={"revised_prompt": "a red cat"})
    assert Picture.of(event).to_dict() == {
        "data": base64.b64encode(PNG).decode(),
        "mime_type": "image/png",
        "prompt": "a red cat",
    }
    assert Picture.of(ImageData(PNG, "image/png")).prompt is None


def test_nothing_is_left_where_writing_fails(tmp_path):
    place = save(b"before", tmp_path / "a.wav")
    with pytest.raises(TypeError), whole_file(place) as file:
        file.writelines([b"half", None])
    assert place.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("name", ["no/such/folder/a.wav", ".", "a\0b"])
def test_a_file_that_cannot_be_written_is_an_error_of_this_machine(tmp_path, name):
    with pytest.raises(LocalError, match="cannot be written"):
        Sound(b"RIFF", "audio/wav").save(os.path.join(tmp_path, name))  # noqa: PTH118
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_written_to_and_not_replaced():
    save(b"gone", os.devnull)
    assert not os.path.isfile(os.devnull)  # noqa: PTH113


def test_a_link_stays_a_link(tmp_path):
    target = save(b"old", tmp_path / "target.wav")
    link = tmp_path / "link.wav"
    link.symlink_to(target)
    save(b"new", link)
    assert (link.is_symlink(), target.read_bytes()) == (True, b"new")
