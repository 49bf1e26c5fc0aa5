"""A model of 75 M parameters that knows nothing: the demo model's words, and random weights.

python -m bench.random_model FILE          # with gguf and numpy
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import gguf
import numpy as np

WIDTH, LAYERS, FORWARD, HEADS, CONTEXT = 768, 10, 2048, 12, 2048
_SHAPE = {
    "llama.context_length": CONTEXT,
    "llama.embedding_length": WIDTH,
    "llama.block_count": LAYERS,
    "llama.feed_forward_length": FORWARD,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": HEADS,
    "llama.rope.dimension_count": WIDTH // HEADS,
}


def write(path: Path) -> None:
    """Write the model."""
    demo = gguf.GGUFReader(str(files("multitap_llamacpp") / "demo.gguf"))
    writer = gguf.GGUFWriter(path, "llama")
    for field in demo.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            kind, *inner = field.types
            value = _SHAPE.get(field.name, field.contents())
            writer.add_key_value(field.name, value, kind, inner[0] if inner else None)
    random = np.random.default_rng(1)
    for name, shape in _tensors(len(demo.fields["tokenizer.ggml.tokens"].contents())):
        values = random.normal(0, 0.02, shape) if len(shape) > 1 else np.ones(shape)
        writer.add_tensor(name, values.astype(np.float16 if len(shape) > 1 else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "token_embd.weight", (vocabulary, WIDTH)
    yield "output_norm.weight", (WIDTH,)
    yield "output.weight", (vocabulary, WIDTH)
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            yield f"blk.{layer}.{name}.weight", (WIDTH,)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{layer}.{name}.weight", (WIDTH, WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            yield f"blk.{layer}.{name}.weight", (FORWARD, WIDTH)
        yield f"blk.{layer}.ffn_down.weight", (WIDTH, FORWARD)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
