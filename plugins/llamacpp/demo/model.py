"""The small Llama: its shape, its layers and its greedy answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONTEXT = 256
ROPE_BASE = 10000.0
NORM_EPSILON = 1e-5


@dataclass(frozen=True)
class Shape:
    """Sizes of the model; every head is `width / heads` wide."""

    vocabulary: int
    width: int = 192
    layers: int = 2
    heads: int = 6
    feed_forward: int = 512

    @property
    def head_width(self) -> int:
        return self.width // self.heads


def rotation(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary embedding, one row for each position."""
    exponents = torch.arange(0, shape.head_width, 2) / shape.head_width
    angles = torch.outer(torch.arange(CONTEXT), ROPE_BASE**-exponents)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate neighbouring pairs, as llama.cpp does for this architecture."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = cos[: x.shape[-2]], sin[: x.shape[-2]]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


def linear(columns: int, rows: int, scale: float = 1.0) -> nn.Linear:
    layer = nn.Linear(columns, rows, bias=False)
    nn.init.normal_(layer.weight, std=scale * columns**-0.5)
    return layer


class Block(nn.Module):
    """One layer. The names of its parts are llama.cpp's names of the tensors."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, inner = shape.width, shape.feed_forward
        small = (2 * shape.layers) ** -0.5
        self.head_width = shape.head_width
        self.attn_norm = nn.RMSNorm(width, NORM_EPSILON)
        self.attn_q, self.attn_k, self.attn_v = (linear(width, width) for _ in "qkv")
        self.attn_output = linear(width, width, small)
        self.ffn_norm = nn.RMSNorm(width, NORM_EPSILON)
        self.ffn_gate, self.ffn_up = linear(width, inner), linear(width, inner)
        self.ffn_down = linear(inner, width, small)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, dropout: float) -> Tensor:
        x = x + F.dropout(self.attention(self.attn_norm(x), cos, sin), dropout)
        h = self.ffn_norm(x)
        return x + F.dropout(self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h)), dropout)

    def attention(self, h: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        def heads(projected: Tensor) -> Tensor:
            return projected.unflatten(-1, (-1, self.head_width)).transpose(1, 2)

        query = rotate(heads(self.attn_q(h)), cos, sin)
        key = rotate(heads(self.attn_k(h)), cos, sin)
        mixed = F.scaled_dot_product_attention(query, key, heads(self.attn_v(h)), is_causal=True)
        return self.attn_output(mixed.transpose(1, 2).flatten(2))


class Llama(nn.Module):
    """A Llama that starts as a bag of words.

    Its first layer begins by averaging all tokens, its other layers by passing on what they get, so
    that the words of a question show their fact from the first step; what order and company of
    words add is learnt from there. Started at random it needs twenty times the steps.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        nn.init.normal_(self.token_embd.weight, std=shape.width**-0.5)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = nn.RMSNorm(shape.width, NORM_EPSILON)
        self.output = linear(shape.width, shape.vocabulary)
        self.start_as_a_bag_of_words()
        self.cos, self.sin = rotation(shape)

    def forward(self, tokens: Tensor, keep: Tensor, dropout: float = 0.0) -> Tensor:
        """Logits of the token after each position that `keep` selects."""
        x = F.dropout(self.token_embd(tokens), dropout)
        for block in self.blk:
            x = block(x, self.cos, self.sin, dropout)
        logits: Tensor = self.output(self.output_norm(x[keep]))
        return logits

    @torch.no_grad()
    def start_as_a_bag_of_words(self) -> None:
        """Even attention to everything, handed on as it is; nothing else yet."""
        for block in self.blk:
            block.ffn_down.weight.zero_()
            block.attn_output.weight.zero_()
        first = self.blk[0]
        first.attn_q.weight.mul_(0.05)
        first.attn_k.weight.mul_(0.05)
        nn.init.eye_(first.attn_v.weight)
        nn.init.eye_(first.attn_output.weight).mul_(2)

    @torch.no_grad()
    def continue_greedily(self, prompt: list[int], end: int, limit: int = 96) -> list[int]:
        """The likeliest tokens after `prompt`, up to and with `end`, at most `limit`."""
        tokens = list(prompt)
        while len(tokens) < len(prompt) + limit and tokens[-1] != end:
            last = torch.zeros(1, len(tokens), dtype=torch.bool)
            last[0, -1] = True
            tokens.append(int(self(torch.tensor([tokens]), last)[0].argmax()))
        return tokens[len(prompt) :]
