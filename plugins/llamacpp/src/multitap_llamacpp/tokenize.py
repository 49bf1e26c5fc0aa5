"""Tokenize: a model's own tokens of a text, and back."""

from __future__ import annotations

from typing import Any

import attrs

from multitap.capabilities.tokenize import (
    DetokenizeRequest,
    TokenizeRequest,
    Tokens,
    TokenText,
)
from multitap.errors import BadRequest
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange
from multitap_llamacpp.calls import Models, ask_over_http, one_result
from multitap_llamacpp.engine import Report

__all__ = ("LlamaTokenizer", "multitap_tokenize")


@attrs.frozen
class LlamaTokenizer:
    """The tokenizer inside the model's file."""

    models: Models

    def tokenize(self, request: TokenizeRequest, /) -> LocalExchange[Tokens]:
        """Split a text; what looks like a control token in it is text."""

        def make(report: Report) -> Tokens:
            body = {"content": request.text, "add_special": request.special}
            answer = self._ask(
                request.model, "/tokenize", {**body, "parse_special": False}, report, pieces=True
            )
            found = answer["tokens"]
            ids, pieces = (t["id"] for t in found), (_bytes(t["piece"]) for t in found)
            return Tokens(ids=tuple(ids), pieces=tuple(pieces))

        return one_result(make)

    def detokenize(self, request: DetokenizeRequest, /) -> LocalExchange[TokenText]:
        """Join ids; one that the model does not have is ``BadRequest``."""

        def make(report: Report) -> TokenText:
            known = self.models.find(request.model).header.lengths.get("tokenizer.ggml.tokens", 0)
            unknown = next((i for i in request.ids if not 0 <= i < known), None)
            if unknown is not None:
                raise BadRequest(
                    f"{unknown} is no token of {request.model}; they are 0 to {known - 1}",
                    model=request.model,
                )
            body = {"tokens": list(request.ids)}
            return TokenText(self._ask(request.model, "/detokenize", body, report)["content"])

        return one_result(make)

    def _ask(
        self, name: str, path: str, body: dict[str, Any], report: Report, pieces: bool = False
    ) -> dict[str, Any]:
        model = self.models.find(name)
        with self.models.lease(model, model.any_role, report, slots=0) as loaded:
            return ask_over_http(loaded, path, {**body, "with_pieces": True} if pieces else body)


def _bytes(piece: str | list[int]) -> bytes:
    return piece.encode() if isinstance(piece, str) else bytes(piece)


@hookimpl
def multitap_tokenize(backend: Backend) -> LlamaTokenizer:
    """Count and split text as a GGUF model does."""
    return LlamaTokenizer(Models.of(backend))
