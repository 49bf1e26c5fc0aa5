"""A BERT encoder of a GGUF file, as a checkpoint of transformers with its pooling.

Runs in vLLM's environment: it needs `gguf`, `tokenizers`, `torch` and `transformers`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertModel

NAMES = (
    (r"token_embd_norm\.", "embeddings.LayerNorm."),
    (r"token_embd\.", "embeddings.word_embeddings."),
    (r"position_embd\.", "embeddings.position_embeddings."),
    (r"token_types\.", "embeddings.token_type_embeddings."),
    (r"blk\.(\d+)\.attn_q\.", r"encoder.layer.\1.attention.self.query."),
    (r"blk\.(\d+)\.attn_k\.", r"encoder.layer.\1.attention.self.key."),
    (r"blk\.(\d+)\.attn_v\.", r"encoder.layer.\1.attention.self.value."),
    (r"blk\.(\d+)\.attn_output_norm\.", r"encoder.layer.\1.attention.output.LayerNorm."),
    (r"blk\.(\d+)\.attn_output\.", r"encoder.layer.\1.attention.output.dense."),
    (r"blk\.(\d+)\.ffn_up\.", r"encoder.layer.\1.intermediate.dense."),
    (r"blk\.(\d+)\.ffn_down\.", r"encoder.layer.\1.output.dense."),
    (r"blk\.(\d+)\.layer_output_norm\.", r"encoder.layer.\1.output.LayerNorm."),
)
MODULES = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")


def convert_bert(gguf: Path, folder: Path) -> None:
    """Write the checkpoint: weights, tokenizer, and the mean over a text's tokens, of length 1."""
    reader = GGUFReader(gguf)
    model = BertModel(config(reader), add_pooling_layer=False)
    weights = {renamed(t.name): torch.from_numpy(np.array(t.data)) for t in reader.tensors}
    model.load_state_dict(weights)
    model.save_pretrained(folder)
    tokenizer(reader).save(str(folder / "tokenizer.json"))
    words = {"tokenizer_class": "BertTokenizerFast", "do_lower_case": True}
    write(folder / "tokenizer_config.json", {**words, "model_max_length": 512})
    write(folder / "modules.json", [module(*each) for each in enumerate(MODULES)])
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": model.config.hidden_size}
    write(folder / "1_Pooling" / "config.json", {**pooling, "pooling_mode_mean_tokens": True})


def config(reader: GGUFReader) -> BertConfig:
    """The shape of the model."""

    def said(name: str) -> int | float:
        return reader.fields[f"bert.{name}"].contents()

    return BertConfig(
        vocab_size=len(reader.fields["tokenizer.ggml.tokens"].contents()),
        hidden_size=said("embedding_length"),
        num_hidden_layers=said("block_count"),
        num_attention_heads=said("attention.head_count"),
        intermediate_size=said("feed_forward_length"),
        max_position_embeddings=said("context_length"),
        layer_norm_eps=said("attention.layer_norm_epsilon"),
        architectures=["BertModel"],
    )


def module(place: int, named: tuple[str, str]) -> dict[str, object]:
    """A step on the way from a text to its vector."""
    kind, path = named
    kind = f"sentence_transformers.models.{kind}"
    return {"idx": place, "name": str(place), "path": path, "type": kind}


def renamed(name: str) -> str:
    """A tensor's name as transformers has it."""
    return next((re.sub(old, new, name) for old, new in NAMES if re.match(old, name)), name)


def tokenizer(reader: GGUFReader) -> BertWordPieceTokenizer:
    """Word pieces: GGUF marks the beginnings of words, BERT what goes on."""
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    return BertWordPieceTokenizer(vocab={spelled(t): i for i, t in enumerate(tokens)})


def spelled(token: str) -> str:
    """A token as BERT's vocabulary has it."""
    if token.startswith("\u2581"):
        return token[1:]
    return token if token.startswith("[") and token.endswith("]") else f"##{token}"


def write(path: Path, value: object) -> None:
    """A file of JSON."""
    path.write_text(json.dumps(value), encoding="utf-8")
