"""Be the fuzzer of one target: ``python tests/fuzz/fuzzer.py sse`` and options of libFuzzer."""

import sys
from importlib import import_module
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))
with atheris.instrument_imports(include=["multitap"]):
    target = import_module(f"fuzz.targets.{sys.argv[1]}")
# to merge, libFuzzer runs its first word again, in a shell
again = f"{sys.executable} {__file__} {sys.argv[1]}"
atheris.Setup([again, *sys.argv[2:]], target.check)
atheris.Fuzz()
