"""This plugin alone, as its metadata declares it, whether it is installed or not."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from multitap.manifest import provider_from_table
from multitap.registry import Registry

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HOME = Path(__file__).parents[1]


def read(*path):
    return tomllib.loads(HOME.joinpath(*path).read_text("utf-8"))


def openai_registry():
    return add_openai(Registry(environ={"MULTITAP_PLUGINS": "none"}))


def add_openai(registry):
    manifest = read("src", "multitap_openai", "provider.toml")
    for group, entries in read("pyproject.toml")["project"]["entry-points"].items():
        for provider, module in entries.items():
            registry.add(
                import_module(module),
                provider,
                [group.removeprefix("multitap.")],
                distribution="multitap-openai",
                info=provider_from_table(provider, manifest[provider]),
            )
    return registry


def openai_config(url, **settings):
    return {"defaults": {"model": "openai:tiny"}, "openai": {"endpoint": url, **settings}}
