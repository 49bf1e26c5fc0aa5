"""llama-server's command line, over the llama-server inside xllamacpp: what a launcher starts.

It takes the words that `multitap_llamaserver.launcher` writes, and serves until it is ended.
"""

from __future__ import annotations

import argparse
import signal

import xllamacpp


def parameters() -> xllamacpp.CommonParams:
    """Those of the command line; a word that is not known is an error, as it is there."""
    words = argparse.ArgumentParser()
    for name in ("--model", "--alias", "--host"):
        words.add_argument(name, required=True)
    words.add_argument("--port", type=int, required=True)
    words.add_argument("--ctx-size", type=int, default=512)
    given = words.parse_args()
    made = xllamacpp.CommonParams()
    made.model.path, made.model_alias = given.model, {given.alias}
    made.hostnames, made.port = [given.host], given.port
    made.n_parallel, made.n_ctx = 1, given.ctx_size
    made.cpuparams.n_threads = made.cpuparams_batch.n_threads = 1
    made.ui = False
    return made


def main() -> None:
    """Serve until the signal that ends it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    server = xllamacpp.Server(parameters())
    print(f"listening at {server.listening_address}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
