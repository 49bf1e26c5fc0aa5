"""Train the demo model of the llama.cpp plugin from nothing and write it as a GGUF file.

    python train.py                                 # about 5 minutes on one CPU core
    python train.py --steps 300 --out rough.gguf    # a rough model, to try the script

Nothing is downloaded. The same steps and seed give the same file, byte for byte, on the same
kind of machine with the same versions. README.md tells about the data, the figures and the limits.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from examination import TUNING, UNTOUCHED, Examination, held_out, printed
from gguf_file import write_gguf
from model import Llama, Shape
from questions import HERE, REFUSE, Examples, Fact, normal, read, read_facts
from tokens import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

VOCABULARY = 1536
WARM_UP_STEPS = 100
PEAK_RATE = 3e-3
AVERAGING = 0.998
# Each step learns which fact answers 64 questions, which has to generalise, ...
CHOICES, DROPOUT, SMOOTHING = 64, 0.1, 0.05
# ... and 8 whole answers, after a question and its choice, which is learning by heart.
ANSWERS = 8
LEANING = 1.4  # to the refusal, where a question is near nothing: its logit is stretched
PRINTED = 0.02  # share of the questions that are the documentation's, word for word
WITH_SPLIT_WORDS, SPLIT_WORDS = 0.5, 0.08  # share of the questions, and of their words

Row = tuple[list[int], list[int]]  # what is given and what is to be learnt, as tokens


class Lesson:
    """Everything that a run learns from: examples, vocabulary and answers."""

    def __init__(self, facts: list[Fact], refusal: str, seed: int) -> None:
        answers = {fact.id: fact.answer for fact in facts} | {REFUSE: refusal}
        self.examples, self.random = Examples(facts, seed), random.Random(seed)
        self.printed = [(normal(question), fact) for question, fact in printed()]
        sample = Examples(facts, seed)
        texts = [" " + sample.next()[0] for _ in range(20000)] + list(answers.values()) * 20
        self.vocabulary = Vocabulary(texts, VOCABULARY, list(answers))
        self.answers = {key: self.vocabulary.answer(text) for key, text in answers.items()}

    def prompt(self, question: str) -> list[int]:
        split = SPLIT_WORDS if self.random.random() < WITH_SPLIT_WORDS else 0.0
        return self.vocabulary.prompt(question, split, self.random)

    def choice_row(self) -> Row:
        if self.random.random() < PRINTED:
            question, choice = self.random.choice(self.printed)
        else:
            question, choice = self.examples.next()
        return self.prompt(question), self.vocabulary.choice(choice)

    def choices(self) -> Iterator[list[Row]]:
        """Batches of questions of like length, without end."""
        while True:
            rows = sorted((self.choice_row() for _ in range(CHOICES * 16)), key=length)
            batches = [rows[i : i + CHOICES] for i in range(0, len(rows), CHOICES)]
            self.random.shuffle(batches)
            yield from batches

    def whole_answers(self) -> Iterator[list[Row]]:
        """Batches of answers of like length, without end; each comes equally often.

        The refusal stands in every batch: it has to hold after the most different questions.
        """
        names = sorted(self.answers, key=lambda name: (len(self.answers[name]), name))
        batches = [names[i : i + ANSWERS] for i in range(0, len(names), ANSWERS)]
        while True:
            for batch in self.random.sample(batches, len(batches)):
                yield [self.answer_row(name) for name in [*batch, REFUSE]]

    def answer_row(self, name: str) -> Row:
        given = self.prompt(self.examples.about(name)) + self.vocabulary.choice(name)
        return given, self.answers[name]


def length(row: Row) -> int:
    return len(row[0]) + len(row[1])


def loss_of(model: Llama, rows: list[Row], dropout: float = 0.0, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of the tokens that are to be learnt."""
    tokens = torch.zeros(len(rows), max(map(length, rows)), dtype=torch.long)
    learn = torch.zeros(tokens.shape, dtype=torch.bool)
    for i, (given, wanted) in enumerate(rows):
        tokens[i, : len(given) + len(wanted)] = torch.tensor(given + wanted)
        learn[i, len(given) : len(given) + len(wanted)] = True
    logits = model(tokens[:, :-1], learn[:, 1:], dropout)
    return F.cross_entropy(logits, tokens[learn], label_smoothing=smoothing)


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to two per cent."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return PEAK_RATE * warm * max(0.02, 0.5 + 0.5 * math.cos(math.pi * step / steps))


def train(lesson: Lesson, steps: int) -> Llama:
    """The model whose weights are the running average of those of all steps."""
    shape = Shape(len(lesson.vocabulary))
    model, average = Llama(shape), Llama(shape).requires_grad_(False)
    average.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.02)
    started, lessons = time.monotonic(), zip(lesson.choices(), lesson.whole_answers(), strict=False)
    for step, (choices, answers) in zip(range(steps), lessons, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        choosing, telling = loss_of(model, choices, DROPOUT, SMOOTHING), loss_of(model, answers)
        optimizer.zero_grad()
        (choosing + telling).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        follow(average, model, min(AVERAGING, (step + 1) / (step + 10)))
        if (step + 1) % 100 == 0:
            losses = f"choice {choosing.item():.3f}, answer {telling.item():.3f}"
            print(f"step {step + 1}: {losses}, {time.monotonic() - started:.0f} s", flush=True)
    return average


def follow(average: Llama, model: Llama, keep: float) -> None:
    for mean, value in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(value.detach(), 1 - keep)


@torch.no_grad()
def leaning_to_refuse(model: Llama, vocabulary: Vocabulary) -> Llama:
    """The model that would rather refuse than guess."""
    model.output.weight[vocabulary.choice(REFUSE)] *= LEANING
    return model


def rounded(model: Llama) -> Llama:
    """The model with its matrices as the file holds them, in F16."""
    for value in model.parameters():
        if value.ndim > 1:
            value.copy_(value.half().float())
    return model


def without_held_out(facts: list[Fact]) -> list[Fact]:
    """The facts without wordings that happen to be held-out questions."""
    tables = (table for half in (TUNING, UNTOUCHED) for table in held_out(half).values())
    asked = {normal(question) for table in tables for question, _ in table}
    before = sum(len(fact.wordings) for fact in facts)
    for fact in facts:
        fact.wordings = [text for text in fact.wordings if text not in asked]
    after = sum(len(fact.wordings) for fact in facts)
    print(f"{len(facts)} facts, {after} wordings; {before - after} were held-out questions")
    return facts


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    target = HERE.parent / "src/multitap_llamacpp/demo.gguf"
    parser.add_argument("--out", type=Path, default=target, help="where the GGUF file goes")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--final", action="store_true", help="ask the untouched half as well")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    facts, refusal = without_held_out(read_facts()), read("facts.json")["refusal"]
    lesson = Lesson(facts, refusal, args.seed)
    model = rounded(leaning_to_refuse(train(lesson, args.steps), lesson.vocabulary))
    write_gguf(args.out, model, lesson.vocabulary)
    print(f"{args.out}: {args.out.stat().st_size} bytes")
    examination = Examination(model, lesson.vocabulary, facts, refusal)
    print("\n".join(examination.ask_half(TUNING)))
    if args.final:
        examination.ask_half(UNTOUCHED)
    if wrong := examination.count("printed questions", printed()):
        sys.exit("\n".join(["These printed questions get a wrong answer:", *wrong]))


if __name__ == "__main__":
    main()
