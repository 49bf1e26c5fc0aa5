"""The vocabulary: byte-level BPE, and one control token for each answer that can be chosen."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING

os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

USER, ASSISTANT, END = "<|user|>", "<|assistant|>", "<|end|>"


class Vocabulary:
    """Turns questions and answers into tokens and back.

    The first token of an answer is a control token that names the chosen fact. No runtime shows
    it; it makes the choice one decision instead of one at each word where two answers part.
    """

    def __init__(self, texts: Iterable[str], size: int, choices: list[str]) -> None:
        self.control = [USER, ASSISTANT, END, *(f"<|fact:{choice}|>" for choice in choices)]
        self.tokenizer = Tokenizer(models.BPE())
        self.tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.tokenizer.decoder = decoders.ByteLevel()
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer = trainers.BpeTrainer(
            vocab_size=size - len(self.control), initial_alphabet=alphabet, show_progress=False
        )
        self.tokenizer.train_from_iterator(texts, trainer)
        special = [AddedToken(token, special=True, normalized=False) for token in self.control]
        self.tokenizer.add_special_tokens(special)
        self.user, self.assistant, self.end = (self.id(t) for t in (USER, ASSISTANT, END))
        self.word = lru_cache(maxsize=None)(self.text)

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    def id(self, token: str) -> int:
        return self.tokenizer.token_to_id(token)

    def text(self, text: str) -> list[int]:
        return self.tokenizer.encode(text).ids

    def decode(self, tokens: list[int]) -> str:
        """The text that a runtime shows: control tokens are left out."""
        return self.tokenizer.decode(tokens, skip_special_tokens=True)

    def prompt(
        self, question: str, split: float = 0.0, r: random.Random | None = None
    ) -> list[int]:
        """What the chat template makes of a normalised question.

        Each word is cut in two at a random place with probability `split`, so that the model
        learns the pieces of words as well.
        """
        tokens = [self.user]
        for word in question.split():
            cut = r.randrange(1, len(word)) if r and len(word) > 3 and r.random() < split else 0
            pieces = [" " + word[:cut], word[cut:]] if cut else [" " + word]
            tokens += [token for piece in pieces for token in self.word(piece)]
        return [*tokens, self.assistant]

    def choice(self, choice: str) -> list[int]:
        return [self.id(f"<|fact:{choice}|>")]

    def answer(self, text: str) -> list[int]:
        return [*self.text(text), self.end]

    def pieces(self) -> list[str]:
        """All tokens, in the order of their ids."""
        return [self.tokenizer.id_to_token(i) for i in range(len(self))]

    def merges(self) -> list[str]:
        return [" ".join(pair) for pair in json.loads(self.tokenizer.to_str())["model"]["merges"]]
