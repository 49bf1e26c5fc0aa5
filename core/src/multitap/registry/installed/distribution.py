"""What is known of one installed distribution, before anybody judges it."""

# ruff: noqa: PTH119
# a Path for each of some hundred folders costs more than its name
from __future__ import annotations

import os
import re
from typing import NamedTuple

from multitap.registry.installed.disk import Stamp

__all__ = ("Entry", "Folder", "Found", "key_of", "stem_of")

Entry = tuple[str, str, str]
"""One entry point: group, name and value."""


class Found(NamedTuple):
    """One distribution: who it is, and its entry points in our groups.

    ``name`` and ``version`` are empty where it has no such entry points. ``told`` and ``facts`` are
    the stamps of ``entry_points.txt`` and of the metadata beside it.
    """

    path: str
    key: str
    name: str = ""
    version: str = ""
    entries: tuple[Entry, ...] = ()
    problem: str = ""
    told: Stamp = None
    facts: Stamp = None


class Folder(NamedTuple):
    """What an entry of ``sys.path`` holds; ``archive``: it is a zip file or an egg."""

    stamp: Stamp
    found: tuple[Found, ...] = ()
    archive: bool = False


def key_of(distribution: str) -> str:
    """A distribution's name in the spelling that compares.

    >>> key_of("Multitap_Acme")
    'multitap-acme'
    """
    return re.sub(r"[-_.]+", "-", distribution.strip()).lower()


def stem_of(path: str) -> tuple[str, str]:
    """Name and version as the folder's name has them.

    >>> stem_of("lib/multitap_acme-1.0.dist-info")
    ('multitap_acme', '1.0')
    """
    name, _, version = os.path.basename(path).rpartition(".")[0].partition("-")
    return name, version
