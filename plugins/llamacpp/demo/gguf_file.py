"""The model as a GGUF file: F16 matrices, F32 norms, tokens and chat template."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import gguf
import numpy as np
from model import CONTEXT, NORM_EPSILON, ROPE_BASE, Llama
from questions import DROPPED, SPACED
from tokens import ASSISTANT, USER, Vocabulary

if TYPE_CHECKING:
    from pathlib import Path

quoted = partial(json.dumps, ensure_ascii=False)  # llama.cpp's templates know no \u escape
NORMAL_TOKEN, CONTROL_TOKEN = 1, 3
# A GGUF has no normaliser: the template does what `questions.normal` does. The model is shown
# the last question only.
CHAT_TEMPLATE = (
    "{%- set last = namespace(text='') -%}"
    "{%- for message in messages -%}{%- if message['role'] == 'user' -%}"
    "{%- set last.text = message['content'] -%}"
    "{%- endif -%}{%- endfor -%}"
    f"{{{{- '{USER} ' + ((last.text + ' ') | lower"
    + "".join(f" | replace({quoted(c)}, '')" for c in DROPPED)
    + "".join(f" | replace({quoted(c)}, ' ')" for c in SPACED)
    + f" | trim) + '{ASSISTANT}' -}}}}"
)


def write_gguf(path: Path, model: Llama, vocabulary: Vocabulary) -> None:
    """Write the model."""
    writer = gguf.GGUFWriter(path, "llama")
    add_shape(writer, model)
    add_vocabulary(writer, vocabulary)
    for name, value in model.state_dict().items():
        kind = np.float32 if value.ndim == 1 else np.float16
        writer.add_tensor(name, value.numpy().astype(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_shape(writer: gguf.GGUFWriter, model: Llama) -> None:
    shape = model.shape
    writer.add_name("multitap-demo")
    writer.add_description("Answers questions about Multitap and nothing else.")
    writer.add_license("Apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_layer_norm_rms_eps(NORM_EPSILON)
    writer.add_sampling_temp(0.0)  # its answers are facts: the likeliest one, not a random one


def add_vocabulary(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    pieces, control = vocabulary.pieces(), set(vocabulary.control)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(pieces)
    writer.add_token_types([CONTROL_TOKEN if p in control else NORMAL_TOKEN for p in pieces])
    writer.add_token_merges(vocabulary.merges())
    writer.add_bos_token_id(vocabulary.end)
    writer.add_eos_token_id(vocabulary.end)
    writer.add_pad_token_id(vocabulary.end)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
