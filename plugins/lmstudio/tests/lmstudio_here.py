"""This plugin alone, as its metadata declares it, whether it is installed or not."""

from __future__ import annotations

from pathlib import Path

from multitap.testing.project import registry_of

HOME = Path(__file__).parents[1]


def lmstudio_registry():
    return registry_of(HOME)


def lmstudio_config(url, **settings):
    section = {"endpoint": url, **settings}
    return {"defaults": {"model": "lmstudio:tiny"}, "lmstudio": section}
