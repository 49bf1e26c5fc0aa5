"""The words of the command line before click sees them: ``--llm`` takes several."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from multitap.redaction import conceal_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ("conceal_words", "repeat_llm")

_ASSIGNMENT = re.compile(r"[\w.-]+=")
_REFERENCES = ("env:", "file:", "keyring:")  # where a key is, not the key


def repeat_llm(argv: Iterable[str]) -> list[str]:
    """One ``--llm`` before each of its words, as click reads them; ``--`` ends them.

    >>> repeat_llm(["chat", "--llm", "provider=vllm", "model=phi3:8b", "hi"])
    ['chat', '--llm', 'provider=vllm', '--llm', 'model=phi3:8b', 'hi']
    """
    return list(_repeated(argv))


def conceal_words(argv: Iterable[str]) -> None:
    """Show no key that stands in a word, whatever becomes of the word: ``--llm a.api_key=…``."""
    for word in argv:
        name, _, value = word.partition("=")
        if not value.strip().startswith(_REFERENCES):
            conceal_named(name.lstrip("-"), value)


def _repeated(argv: Iterable[str]) -> Iterator[str]:
    words = iter(argv)
    among = first = False
    for word in words:
        if word == "--":
            yield word
            yield from words
        elif word == "--llm":
            among = first = True
            yield word
        else:
            again = among and _ASSIGNMENT.match(word)
            if again and not first:
                yield "--llm"
            among = bool(again) or word.startswith("--llm=")
            first = False
            yield word
