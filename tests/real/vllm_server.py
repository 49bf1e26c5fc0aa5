"""A real vLLM on a processor: ``python vllm_server.py MODEL.gguf FOLDER [FLAG…]``.

The Python is that of vLLM's environment. The model is written to the folder in the form that vLLM
reads, once; then this process becomes the server. Its key is in the environment (``VLLM_API_KEY``),
so that no list of processes shows it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SERVER = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]


def convert(gguf: Path, folder: Path) -> None:
    """A GGUF file as a checkpoint of transformers, which reads Llama's, and BERT's not."""
    from gguf import GGUFReader

    if GGUFReader(gguf).fields["general.architecture"].contents() == "bert":
        from bert_checkpoint import convert_bert

        return convert_bert(gguf, folder)
    return convert_llama(gguf, folder)


def convert_llama(gguf: Path, folder: Path) -> None:
    """Weights, tokenizer and chat template of a GGUF file, as a checkpoint of transformers."""
    from transformers import AutoTokenizer, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    read = LlamaForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name)
    del read.config.quantization_config  # what was read from a GGUF cannot be saved as it is
    plain = LlamaForCausalLM(read.config)
    plain.load_state_dict({name: weight.float() for name, weight in read.state_dict().items()})
    tokenizer.save_pretrained(folder)
    plain.save_pretrained(folder)


def main(gguf: str, folder: str, *flags: str) -> None:
    """Convert where it is needed, and serve."""
    if not Path(folder, "config.json").exists():
        convert(Path(gguf), Path(folder))
    os.execv(SERVER[0], [*SERVER, "--model", folder, *flags])


if __name__ == "__main__":
    main(*sys.argv[1:])
