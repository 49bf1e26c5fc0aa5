"""For each rule about texts a plugin that breaks it, and is honest otherwise."""

from __future__ import annotations

from array import array
from typing import Any

import msgspec
from honest_rest import suite_of
from liars_any import liars, of
from multitap_acme.texts import AcmeEmbedding, AcmeModeration, AcmeRerank, AcmeTokenizer

from multitap.capabilities.embedding import Embeddings, Vectors
from multitap.capabilities.moderation import Judgement
from multitap.capabilities.rerank import Ranked, Ranking
from multitap.capabilities.tokenize import Tokens, TokenText
from multitap.errors import ProtocolError
from multitap.events import Usage

# ---- embedding -----------------------------------------------------------------------------------


class CountsTwice(AcmeEmbedding):
    def usage(self, found):
        return Usage.reported(2 * (found.spent.read or 0) if found.spent else None, None)


class AsItCame(AcmeEmbedding):
    def sorted(self, rows):
        return rows


class Unchecked(AcmeEmbedding):
    def vectors(self, rows):
        try:
            return super().vectors(rows)
        except ProtocolError as error:
            if "finite" not in error.message:
                raise
            numbers = array("f", [number for row in rows for number in row.numbers])
            return Vectors(numbers, len(rows[0].numbers))


class FillsUp(AcmeEmbedding):
    def counted(self, rows, wanted):
        return [*rows, *rows[-1:] * wanted][:wanted]


class Tidies(AcmeEmbedding):
    def texts(self, request):
        return [" ".join(text.split()) for text in request.texts]


class ForgetsTheSize(AcmeEmbedding):
    def body(self, request):
        return {name: value for name, value in super().body(request).items() if name != "size"}


# ---- rerank --------------------------------------------------------------------------------------


class RanksForFree(AcmeRerank):
    def usage(self, found):
        return Usage.reported(0, None)


class LeavesOutTheStrange(AcmeRerank):
    def distinct(self, request, ranked):
        return [each for each in ranked if 0 <= each.index < len(request.documents)]


class Rounds(AcmeRerank):
    def kept(self, request, ranked):
        return [Ranked(each.index, round(each.score, 1)) for each in ranked]


class CutsTooEarly(AcmeRerank):
    def kept(self, request, ranked):
        return ranked[: request.top_n]


class WantsMore(AcmeRerank):
    def kept(self, request, ranked):
        least = request.threshold
        return [each for each in ranked if least is None or each.score > least]


class LowersTexts(AcmeRerank):
    def texts(self, request):
        return {"query": request.query, "documents": [text.lower() for text in request.documents]}


# ---- tokenize ------------------------------------------------------------------------------------


class Backwards(AcmeTokenizer):
    def split(self, found):
        return super().split(msgspec.structs.replace(found, ids=found.ids[::-1]))


class Anything(msgspec.Struct):
    ids: list[Any]
    pieces: list[str] | None = None


class TakesAnything(AcmeTokenizer):
    shape = Anything


class Spells(AcmeTokenizer):
    def piece(self, piece):
        return piece.replace(" ", "Ġ").encode()


class Strips(AcmeTokenizer):
    def joined(self, found):
        return TokenText(found.text.strip())


class NothingSpecial(AcmeTokenizer):
    def special(self, request):
        return {}


class TellsThatNothingIs(NothingSpecial):
    """Honest after all: ``special`` is warned of."""

    options = ()


class StripsBefore(AcmeTokenizer):
    def text(self, request):
        return request.text.strip()


# ---- moderation ----------------------------------------------------------------------------------


class OtherWords(AcmeModeration):
    def name(self, name):
        return f"{name}ful"


class JudgesAsItCame(AcmeModeration):
    def sorted(self, rows):
        return rows


class JudgesTwice(AcmeModeration):
    def counted(self, rows, wanted):
        return [*rows, *rows[-1:] * wanted][:wanted]


class Percent(AcmeModeration):
    def score(self, score):
        return 100 * score


class StripsFirst(AcmeModeration):
    def texts(self, request):
        return [text.strip() for text in request.texts]


WARNS = suite_of("tokenize", TellsThatNothingIs)
LIARS = {
    **liars("embedding", Embeddings(vectors=Vectors.from_rows([[1.0]]))),
    **of(
        "embedding",
        answer=CountsTwice,
        order=AsItCame,
        finite=Unchecked,
        count=FillsUp,
        texts=Tidies,
        options=ForgetsTheSize,
    ),
    **liars("rerank", Ranking(results=())),
    **of(
        "rerank",
        answer=RanksForFree,
        indices=LeavesOutTheStrange,
        scores=Rounds,
        top_n=CutsTooEarly,
        threshold=WantsMore,
        texts=LowersTexts,
    ),
    **liars("tokenize", Tokens(ids=())),
    **of(
        "tokenize",
        answer=Backwards,
        ids=TakesAnything,
        pieces=Spells,
        back=Strips,
        special=NothingSpecial,
        texts=StripsBefore,
    ),
    **liars("moderation", Judgement(flagged=False)),
    **of(
        "moderation",
        answer=OtherWords,
        order=JudgesAsItCame,
        count=JudgesTwice,
        scores=Percent,
        texts=StripsFirst,
    ),
}
