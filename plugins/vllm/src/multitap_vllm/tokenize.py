"""Tokenize over ``/tokenize`` and ``/detokenize``, which every vLLM has.

The texts of single tokens, which vLLM can tell, are left out: they are spelled as in the model's
vocabulary (``Ġupon``), so that they are not the bytes that a token stands for.
"""

from __future__ import annotations

import msgspec

from multitap.capabilities.tokenize import DetokenizeRequest, TokenizeRequest, Tokens, TokenText
from multitap.errors import ProtocolError
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange
from multitap_vllm.calls import exchange

__all__ = ("VllmTokenizer", "multitap_tokenize")


class Reply(msgspec.Struct):
    """What the server answers: ids to the one, a text to the other."""

    tokens: list[int] | None = None
    prompt: str | None = None


class VllmTokenizer:
    """The tokenizer of the model that a server has."""

    def tokenize(self, request: TokenizeRequest, /) -> Exchange[Tokens]:
        """The ids of a text, as it is: no chat template is laid around it."""
        body = {
            "model": request.model,
            "prompt": request.text,
            "add_special_tokens": request.special,
        }
        return exchange("/tokenize", body, Reply, _tokens)

    def detokenize(self, request: DetokenizeRequest, /) -> Exchange[TokenText]:
        """The text of some ids; special tokens are part of it."""
        body = {"model": request.model, "tokens": list(request.ids)}
        return exchange("/detokenize", body, Reply, _text)


def _tokens(reply: Reply) -> Tokens:
    if reply.tokens is None:
        raise ProtocolError("vLLM answered without tokens", kind="empty_response")
    return Tokens(ids=tuple(reply.tokens))


def _text(reply: Reply) -> TokenText:
    if reply.prompt is None:
        raise ProtocolError("vLLM answered without a text", kind="empty_response")
    return TokenText(reply.prompt)


@hookimpl
def multitap_tokenize(backend: Backend) -> VllmTokenizer:
    """Count and split text as a vLLM server's model does."""
    return VllmTokenizer()
