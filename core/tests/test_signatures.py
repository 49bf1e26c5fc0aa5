"""No signature shows what the process knows: documentation tools print every default."""

from __future__ import annotations

import subprocess
import sys

WALK = """
import importlib, inspect, pkgutil, multitap

for module in pkgutil.walk_packages(multitap.__path__, "multitap."):
    if ".template" in module.name:
        continue
    for name, value in vars(importlib.import_module(module.name)).items():
        try:
            print(module.name, name, inspect.signature(value))
        except (TypeError, ValueError):
            pass
"""


def test_no_default_argument_holds_the_environment():
    key = "hush-canary-sesame"
    words = [sys.executable, "-W", "ignore", "-c", WALK]
    done = subprocess.run(
        words, env={"ACME_API_KEY": key}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "multitap.registry.plugins Registry" in done.stdout
    assert key not in done.stdout
