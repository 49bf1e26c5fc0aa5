"""What the model learns from: facts, their wordings, and ever new variations of them."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# The chat template does the same to a question as `normal`: these characters are dropped, ...
DROPPED = ["?", "!", ",", ";", ":", '"', "'", "’", "`", "(", ")"]
# ... and these become one space.
SPACED = ["\n", ". ", "  ", "  "]
REFUSE = "refuse"
AUTHORS = "a", "b", "c"
ONSETS = "b c d f g h k l m n p r s t v w st tr ch sh pl"


@dataclass
class Fact:
    id: str
    key: str
    answer: str
    wordings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Rates:
    """How often each variation is applied, as probabilities."""

    off_topic: float = 0.45
    invented_off_topic: float = 0.5
    synonyms: float = 0.3
    reordered: float = 0.4
    framed: float = 0.15
    unknown_word: float = 0.08
    typo: float = 0.02


def normal(text: str) -> str:
    """What the chat template makes of a question."""
    text = (text + " ").lower()
    for character in DROPPED:
        text = text.replace(character, "")
    for characters in SPACED:
        text = text.replace(characters, " ")
    return text.strip()


def read(name: str) -> Any:
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def read_facts() -> list[Fact]:
    """All facts with the wordings of all authors; a family gives one fact for each entity."""
    data = read("facts.json")
    wordings = [read(f"wordings/{author}.json") for author in AUTHORS]
    facts = []
    for row in data["facts"]:
        texts = [normal(text) for table in wordings for text in table["facts"][row["id"]]]
        facts.append(Fact(row["id"], row["key"], row["answer"], texts))
    for family in data["families"]:
        templates = [text for table in wordings for text in table["families"][family["id"]]]
        facts += [
            family_member(family, name, entity, templates)
            for name, entity in family["entities"].items()
        ]
    return facts


def family_member(family: dict, name: str, entity: dict, templates: list[str]) -> Fact:
    def fill(text: str) -> str:
        return text.replace("{p}", name).replace("{v}", entity.get("value", ""))

    texts = [normal(t.replace("{n}", n)) for t in templates for n in entity["names"]]
    return Fact(f"{family['id']}-{name}", fill(family["key"]), fill(family["answer"]), texts)


class Examples:
    """An endless stream of varied questions, each with the id of the fact that answers it."""

    def __init__(self, facts: list[Fact], seed: int, rates: Rates | None = None) -> None:
        self.random, self.rates = random.Random(seed), rates or Rates()
        self.facts, self.choices = {fact.id: fact for fact in facts}, [f.id for f in facts]
        self.material = read("material.json")
        self.stop_words = set(self.material["stop_words"])
        self.off_topic = [normal(text) for text in self.material["off_topic"]]
        self.polite = [text for text in self.material["after"] if "multitap" not in text]
        self.synonyms = synonym_table(self.material["synonyms"])
        longest_first = sorted(self.synonyms, key=lambda phrase: (-len(phrase), phrase))
        any_phrase = "|".join(map(re.escape, longest_first))
        self.replaceable = re.compile(rf"(?<!\S)(?:{any_phrase})(?!\S)")

    def next(self) -> tuple[str, str]:
        if self.chance(self.rates.off_topic):
            return self.about(REFUSE), REFUSE
        choice = self.random.choice(self.choices)
        return self.about(choice), choice

    def about(self, choice: str) -> str:
        """A question that this fact answers, or that is to be refused."""
        if choice == REFUSE:
            return self.vary(self.unrelated(), self.polite)
        wording = self.random.choice(self.facts[choice].wordings)
        return self.vary(wording, self.material["after"])

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def unrelated(self) -> str:
        """A question about anything else: a written one, or a frame filled with everyday words."""
        if not self.chance(self.rates.invented_off_topic):
            return self.random.choice(self.off_topic)
        frame = self.random.choice(self.material["frames"])
        return normal(re.sub(r"\{(\w+)\}", lambda match: self.everyday_word(match[1]), frame))

    def everyday_word(self, kind: str) -> str:
        if self.chance(0.1):
            return self.invented_word()
        return self.random.choice(self.material["words"][kind])

    def vary(self, text: str, endings: list[str]) -> str:
        """The same question in other words, another order, with politeness, noise and typos."""
        if self.chance(self.rates.synonyms):
            text = self.with_synonyms(text)
        words = text.split()
        if self.chance(self.rates.reordered):
            words = self.reordered(words)
        if self.chance(self.rates.framed):
            words = self.random.choice(self.material["before"]).split() + words
        if self.chance(self.rates.framed):
            words = words + self.random.choice(endings).split()
        if len(words) > 2 and self.chance(self.rates.unknown_word):
            words.insert(self.random.randrange(len(words)), self.any_word())
        return " ".join(self.typo(w) if self.chance(self.rates.typo) else w for w in words)

    def with_synonyms(self, text: str) -> str:
        rate = self.random.choice([0.2, 0.4, 0.7])

        def other(match: re.Match[str]) -> str:
            return self.random.choice(self.synonyms[match[0]]) if self.chance(rate) else match[0]

        return self.replaceable.sub(other, text)

    def reordered(self, words: list[str]) -> list[str]:
        """Without stop words, without random words, or with its halves exchanged."""
        way = self.random.randrange(3)
        if way == 0:
            return [w for w in words if w not in self.stop_words] or words
        if way == 1:
            return [w for w in words if not self.chance(0.2)] or words
        middle = self.random.randrange(len(words))
        return words[middle:] + words[:middle]

    def any_word(self) -> str:
        if self.chance(0.5):
            return self.invented_word()
        return self.everyday_word(self.random.choice(sorted(self.material["words"])))

    def invented_word(self) -> str:
        syllable = (ONSETS.split(), "aeiou", ["", "", *"nrslt"])
        parts = syllable * self.random.choice([1, 2, 2, 3])
        return "".join(self.random.choice(part) for part in parts)

    def typo(self, word: str) -> str:
        """The word with one letter dropped, doubled or swapped; short words stay."""
        if len(word) < 4:
            return word
        i = self.random.randrange(1, len(word) - 1)
        here, following = word[i], word[i + 1]
        wrong = self.random.choice([following, here + here + following, following + here])
        return word[:i] + wrong + word[i + 2 :]


def synonym_table(groups: list[list[str]]) -> dict[str, list[str]]:
    """Each phrase with all phrases of the groups that it belongs to."""
    table: dict[str, list[str]] = {}
    for group in groups:
        phrases = [normal(phrase) for phrase in group]
        for phrase in phrases:
            table.setdefault(phrase, []).extend(phrases)
    return table
