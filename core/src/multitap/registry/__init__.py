"""Who offers what: the declared table, and lazy, guarded loading of what is used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multitap.registry.discovery import Failure, Row, State
    from multitap.registry.plugins import Registry

__all__ = ("Failure", "Registry", "Row", "State")


def __getattr__(name: str) -> Any:  # who asks what is installed needs nothing that judges it
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("multitap.registry.plugins"), name)
