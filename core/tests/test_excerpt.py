import pytest

from multitap.excerpt import excerpt


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer seCret.def-123",
        "basic seCretdef=",
        '{"api_key": "seCretdef"}',
        "Incorrect API key provided: sk-proj-seCret456",
        "token=seCret",
    ],
)
def test_an_excerpt_masks_keys(text):
    assert "***" in excerpt(text)
    assert "seCret" not in excerpt(text)


@pytest.mark.parametrize("text", ["max_tokens=5 is too low", "This key was revoked", "a token"])
def test_plain_words_are_left_alone(text):
    assert text == excerpt(text)


def test_an_excerpt_is_one_short_printable_line():
    assert excerpt(b"a\n\x00b\xff" + b"x" * 9999, 10) == "a \ufffdb\ufffdxxxx…"
