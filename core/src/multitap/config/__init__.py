"""``llm.toml``: its layers, its sections, and the backends that they describe.

>>> from multitap.config import load_config
>>> config = load_config({"defaults": {"provider": "gpu"}, "gpu": {"provider": "vllm"}})
>>> config.sections["gpu"].provider
'vllm'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multitap.config.building import backends, build_backend, check_required
    from multitap.config.files import config_files, is_anything_configured
    from multitap.config.keys import KeyHeader, MissingKey, keys_of
    from multitap.config.layers import load_config, read_config
    from multitap.config.packages import canonical, known_packages, not_installed
    from multitap.config.secret import Secret
    from multitap.config.sections import Config, Defaults, Plugins, Section
    from multitap.config.sources import Entry, Source

__all__ = (
    "Config",
    "Defaults",
    "Entry",
    "KeyHeader",
    "MissingKey",
    "Plugins",
    "Secret",
    "Section",
    "Source",
    "backends",
    "build_backend",
    "canonical",
    "check_required",
    "config_files",
    "is_anything_configured",
    "keys_of",
    "known_packages",
    "load_config",
    "not_installed",
    "read_config",
)

_HOMES = {
    "Config": "multitap.config.sections",
    "Defaults": "multitap.config.sections",
    "Entry": "multitap.config.sources",
    "KeyHeader": "multitap.config.keys",
    "MissingKey": "multitap.config.keys",
    "Plugins": "multitap.config.sections",
    "Secret": "multitap.config.secret",
    "Section": "multitap.config.sections",
    "Source": "multitap.config.sources",
    "backends": "multitap.config.building",
    "build_backend": "multitap.config.building",
    "canonical": "multitap.config.packages",
    "check_required": "multitap.config.building",
    "config_files": "multitap.config.files",
    "is_anything_configured": "multitap.config.files",
    "keys_of": "multitap.config.keys",
    "known_packages": "multitap.config.packages",
    "load_config": "multitap.config.layers",
    "not_installed": "multitap.config.packages",
    "read_config": "multitap.config.layers",
}


def __getattr__(name: str) -> Any:  # what only asks whether there is any need not read it
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
