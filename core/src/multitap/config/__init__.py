"""``llm.toml``: its layers, its sections, and the backends that they describe.

>>> config = load_config({"defaults": {"provider": "gpu"}, "gpu": {"provider": "vllm"}})
>>> config.sections["gpu"].provider
'vllm'
"""

from multitap.config.backends import backends, build_backend, check_required
from multitap.config.keys import KeyHeader, MissingKey, keys_of
from multitap.config.layers import config_files, load_config, read_config
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
    "keys_of",
    "known_packages",
    "load_config",
    "not_installed",
    "read_config",
)
