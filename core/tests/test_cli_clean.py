"""What a model may not do to a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.cli.clean import Cleaner, one_line

PIECES = st.lists(st.text("ab\x1b[]0;1m\x07\x9b\x9d\\\n\u202e", max_size=6), max_size=6)


@given(PIECES)
def test_cleaning_is_the_same_however_the_text_is_cut(pieces):
    whole, by_piece = Cleaner(), Cleaner()
    assert whole("".join(pieces)) == "".join(map(by_piece, pieces))


@given(st.text())
def test_nothing_unsafe_is_left(text):
    shown = Cleaner()(text)
    kept = [c for c in shown if c in "\n\t" or (c >= " " and not "\x7f" <= c <= "\x9f")]
    assert "".join(kept) == shown
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07ok", "ok"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\sixel", "sixel"),
        ("\x1b(Bok", "ok"),
        ("\x1b]never ends\nnext line", "\nnext line"),
        ("a\r\nb\tc\x00", "a\nb\tc"),
        ("שלום\u200f 👩\u200d💻", "שלום\u200f 👩\u200d💻"),
    ],
)
def test_what_is_shown(text, shown):
    assert shown == Cleaner()(text)


def test_a_message_is_one_line():
    assert one_line("no\r\nsuch \x1b[2Jmodel\u2028") == "no such model"
