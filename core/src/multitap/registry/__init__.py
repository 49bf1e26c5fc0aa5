"""Who offers what: the declared table, and lazy, guarded loading of what is used."""

from multitap.registry.discovery import Failure, Row, State
from multitap.registry.plugins import Registry

__all__ = ("Failure", "Registry", "Row", "State")
