"""Pictures, sounds and documents that no server could take are refused, never left out."""

from __future__ import annotations

import pytest

from multitap import media
from multitap.errors import ConfigError
from multitap.messages import Audio, Document, Image, Message
from multitap.plan import chat_request


@pytest.mark.parametrize(
    "part",
    [
        Image(b"\x89PNG", "image/png"),
        Image(b"\x89PNG"),
        Image(b"<svg/>", "image/svg+xml; charset=utf-8"),
        Image(url="https://example.org/a.png"),
        Image(url="gs://bucket/a.png"),
        Image(url="data:image/png;base64,iVBORw=="),
        Audio(b"RIFF"),
        Audio(b"ID3", "audio/mpeg"),
        Document(b"%PDF", "application/pdf", "a.pdf"),
        Document(b"a", "text/plain"),
    ],
)
def test_media_that_can_be_sent(part):
    assert chat_request("tiny", ["What is this?", part]).messages[0].parts[1] is part


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Image(), "no bytes"),
        (Image(b"", "image/png"), "no bytes"),
        (Image("a.png", "image/png"), "no bytes"),
        (Image(url=""), "no URL"),
        (Image(url="a.png"), "no URL"),
        (Image(b"\x89PNG", url="https://example.org/a.png"), "no URL"),
        (Image(b"RIFF", "audio/wav"), "type 'audio/wav'"),
        (Audio(b""), "no bytes"),
        (Audio(b"\x89PNG", "image/png"), "type 'image/png'"),
        (Audio(b"a", "audio"), "type 'audio'"),
        (Document(b"", "application/pdf"), "no bytes"),
        (Document(b"a", "pdf"), "type 'pdf'"),
    ],
)
def test_a_part_that_is_none_is_an_error_and_not_left_out(part, words):
    with pytest.raises(ConfigError, match=words):
        chat_request("tiny", messages=[Message("user", ["What is this?", part])])


def test_a_part_has_a_limit(monkeypatch):
    monkeypatch.setattr(media, "LARGEST", 4)
    assert chat_request("tiny", [Image(b"1234")])
    with pytest.raises(ConfigError, match="has 5 bytes; the most is 4"):
        chat_request("tiny", [Image(b"12345")])
