"""A real llama-server: ``python llama_server.py ROLE FOLDER MODEL.gguf [ADAPTER.gguf]``.

Its slots are saved in the folder. The key is in the environment (``LLAMA_KEY``), so that no list of
processes shows it. The address is printed once the model answers; the server ends with its standard
input.
"""

from __future__ import annotations

import os
import sys

import xllamacpp


def parameters(role: str, folder: str, model: str, adapter: str = "") -> xllamacpp.CommonParams:
    """Two slots of 512 tokens each; an encoder takes its whole input at once."""
    made = xllamacpp.CommonParams()
    made.model.path, made.model_alias = model, {"tiny"}
    made.hostnames, made.port, made.api_keys = ["127.0.0.1"], 0, [os.environ["LLAMA_KEY"]]
    made.n_parallel, made.n_ctx = 2, 1024
    made.cpuparams.n_threads = made.cpuparams_batch.n_threads = 1
    made.enable_reasoning = 0
    made.ctx_shift = True  # a generation that nobody ends goes on for ever
    made.verbosity, made.ui = -1, False
    made.slot_save_path = f"{folder}{os.sep}"  # the file's name is put right behind it
    if adapter:
        lora = xllamacpp.CommonAdapterLoraInfo()
        lora.path, lora.scale = adapter, 0.0
        made.lora_adapters = [lora]
    if role != "chat":
        made.n_parallel, made.n_ctx, made.embedding = 1, 256, True
    if role == "rerank":
        made.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    return made


def main() -> None:
    """Serve until standard input ends."""
    server = xllamacpp.Server(parameters(*sys.argv[1:]))
    print(server.listening_address, flush=True)
    sys.stdin.read()
    os._exit(0)  # the library's own end can wait for a client that stays connected


if __name__ == "__main__":
    main()
