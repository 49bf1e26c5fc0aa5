"""The declared table on disk, so that the next process need not read it all again.

It is data: what folders and files held, each with its stamp. Whatever is not as it was is read
again, and so is everything where the file is missing, damaged, or not this user's own.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from multitap.registry.installed.disk import stamp, unchanged
from multitap.registry.installed.distribution import Folder, Found

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from multitap.registry.installed.disk import Stamp
    from multitap.registry.installed.manifests import Kept, Manifest, Verdicts

__all__ = ("Contents", "contents", "load", "save")

_FORMAT = 2
_LIMIT = 16 << 20
_FILES = 32


class Contents(NamedTuple):
    """What is kept: folders of ``sys.path``, and the tables of manifests, by path."""

    folders: dict[str, Folder]
    tables: Kept


def contents(folders: Mapping[str, Folder], manifests: Mapping[str, Manifest]) -> Contents:
    """What of this is worth keeping: what is settled, and is data that JSON can hold."""
    settled = {path: folder for path, folder in folders.items() if folder.stamp is not None}
    tables = {
        found.places[0]: (found.stamps[0], found.tables, found.verdicts)
        for found in manifests.values()
        if len(found.places) == 1 and found.stamps[0] and not found.problem and _plain(found.tables)
    }
    return Contents(settled, tables)


def load(paths: tuple[str, ...]) -> Contents:
    """What the last process with this ``sys.path`` found; empty where there is nothing good."""
    import json

    try:
        document = json.loads(_read(_file(paths)))
        if document["format"] != _FORMAT or document["paths"] != list(paths):
            return Contents({}, {})
        if not all(_same(*each) for each in zip(_rules(), document["rules"], strict=True)):
            return Contents({}, {})
        folders = {path: _folder(row) for path, row in document["folders"].items()}
        tables = {path: _judged(row) for path, row in document["tables"].items()}
    except Exception:  # whatever it is, it is no cache of ours
        return Contents({}, {})
    return Contents(folders, tables)


def save(paths: tuple[str, ...], found: Contents) -> None:
    """Leave it to the next process; where that cannot be, nothing happens."""
    import json

    document = {"format": _FORMAT, "paths": paths, "rules": _rules(), **found._asdict()}
    try:
        _write(_file(paths), json.dumps(document).encode())
    except (OSError, TypeError, ValueError, RuntimeError):
        return


def _plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_plain, value.values()))
    if isinstance(value, list):
        return all(map(_plain, value))
    return isinstance(value, (str, int, float, bool))


# ---- the shape of it -----------------------------------------------------------------------------


def _folder(row: Any) -> Folder:
    stamp, found, archive = row
    return Folder(_stamp(stamp), tuple(map(_found, found)), bool(archive))


def _found(row: Any) -> Found:
    path, key, name, version, entries, problem, told, facts = row
    entries = tuple((group, entry, value) for group, entry, value in entries)
    texts = [path, key, name, version, problem, *(text for entry in entries for text in entry)]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("not a text")
    return Found(path, key, name, version, entries, problem, _stamp(told), _stamp(facts))


def _stamp(row: Any) -> tuple[int, ...] | None:
    return None if row is None else tuple(map(int, row))


def _judged(row: Any) -> tuple[Stamp, Mapping[str, Any], Verdicts]:
    kept, tables, verdicts = row
    if not (isinstance(tables, dict) and isinstance(verdicts, dict)):
        raise TypeError("not a table")
    if not all(isinstance(verdict, (int, str)) for verdict in verdicts.values()):
        raise TypeError("not a verdict")
    return _stamp(kept), tables, verdicts


def _rules() -> list[Stamp]:
    """The stamps of what judges manifests: its verdicts are kept while it is the same."""
    from pathlib import Path

    core = Path(__file__).parents[2]
    return [stamp(str(core / name)) for name in ("manifest.py", "rules.py")]


def _same(now: Stamp, before: Any) -> bool:
    return bool(now) and unchanged(now, _stamp(before))


# ---- the file ------------------------------------------------------------------------------------


def _file(paths: tuple[str, ...]) -> Path:
    from binascii import crc32

    from platformdirs import user_cache_path

    name = crc32("\n".join((sys.version, sys.prefix, *paths)).encode("utf-8", "surrogatepass"))
    return user_cache_path("multitap", appauthor=False) / "plugins" / f"{name:08x}.json"


def _read(path: Path) -> bytes:
    """The file, if it is a plain one of this user's that nobody else may write."""
    with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
        facts = os.fstat(file.fileno())
        ours = not hasattr(os, "getuid") or facts.st_uid == os.getuid()
        if not (ours and stat.S_ISREG(facts.st_mode) and facts.st_size <= _LIMIT):
            raise OSError("not ours")
        if hasattr(os, "getuid") and facts.st_mode & 0o022:
            raise OSError("others may write it")
        return file.read()


def _write(path: Path, data: bytes) -> None:
    """All of it or nothing, whoever else is writing."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        with os.fdopen(os.open(own, flags, 0o600), "wb") as file:
            file.write(data)
        own.replace(path)
    finally:
        own.unlink(missing_ok=True)
    _prune(path.parent)


def _prune(folder: Path) -> None:
    files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[_FILES:]:
        path.unlink(missing_ok=True)
