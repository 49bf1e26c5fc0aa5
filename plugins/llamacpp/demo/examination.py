"""Asking the model: questions that nobody trained on, and those that the documentation prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from questions import REFUSE, Fact, normal, read

if TYPE_CHECKING:
    from model import Llama
    from tokens import Vocabulary

TUNING, UNTOUCHED = 0, 1

Table = list[tuple[str, str]]  # question and the id of the fact that answers it


def held_out(half: int) -> dict[str, Table]:
    """The tuning half, which a developer may look at, or the untouched one, asked at the end."""
    data = read("held_out.json")
    return {
        "on topic": [(row["q"], row["fact"]) for row in data["on_topic"][half::2]],
        "off topic": [(question, REFUSE) for question in data["off_topic"][half::2]],
    }


def printed() -> Table:
    """The questions that the documentation prints: they are trained on, and must be right."""
    return [(question, fact) for question, fact in read("printed.json")]


class Examination:
    """Asks the model and counts the answers with the right key phrase."""

    def __init__(
        self, model: Llama, vocabulary: Vocabulary, facts: list[Fact], refusal: str
    ) -> None:
        self.model, self.vocabulary = model, vocabulary
        self.keys = {fact.id: fact.key for fact in facts} | {REFUSE: refusal}
        self.trained = {normal(question) for question, _ in printed()}

    def answer(self, question: str) -> tuple[str, bool]:
        """The text of the answer, and whether the model ended it by itself."""
        prompt = self.vocabulary.prompt(normal(question))
        tokens = self.model.continue_greedily(prompt, self.vocabulary.end)
        return self.vocabulary.decode(tokens), tokens[-1] == self.vocabulary.end

    def count(self, title: str, table: Table) -> list[str]:
        """Print how many are right and how many ended; a line for each that is wrong."""
        wrong, ended = [], 0
        for question, fact in table:
            text, clean = self.answer(question)
            ended += clean
            if self.keys[fact] not in text:
                wrong.append(f"{question} [{fact}] -> {text}")
        share = 1 - len(wrong) / len(table)
        print(f"{title}: {share:.1%} of {len(table)} right, {ended} ended cleanly", flush=True)
        return wrong

    def ask_half(self, half: int) -> list[str]:
        """Count a half of the held-out questions, without those that are printed and so trained."""
        wrong = []
        for name, table in held_out(half).items():
            unseen = [row for row in table if normal(row[0]) not in self.trained]
            title = "tuning half" if half == TUNING else "untouched half"
            wrong += self.count(f"{title}, {name}", unseen)
        return wrong
