"""This plugin alone, as its metadata declares it, whether it is installed or not."""

from __future__ import annotations

from pathlib import Path

from multitap.testing.project import add_project, registry_of

HOME = Path(__file__).parents[1]


def ollama_registry():
    return registry_of(HOME)


def add_ollama(registry):
    return add_project(registry, HOME)


def ollama_config(url, **settings):
    return {"defaults": {"model": "ollama:tiny"}, "ollama": {"endpoint": url, **settings}}
