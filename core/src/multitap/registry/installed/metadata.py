"""What the distributions of one folder on ``sys.path`` declare, read without importing anything.

Only what is written as packaging tools write it is read here; whatever is unusual is left to the
library itself (``library``), which says the same of the usual.
"""

from __future__ import annotations

import re

from multitap.registry.installed.disk import ABSENT, names_in, read, stamp, unchanged
from multitap.registry.installed.distribution import Entry, Folder, Found, key_of, stem_of

__all__ = ("entries_of", "has_metadata", "headers_of", "read_folder")

_ENTRY_POINTS_LIMIT = 1 << 20
_HEAD_LIMIT = 1 << 14
_LINE = re.compile(r"[!-9;-~]+:.*|[ \t].*")
_HEADER = re.compile(r"^(name|version):(.*(?:\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE)
_WORD = re.compile(r"[!-~]+")


def read_folder(path: str, known: Folder | None) -> Folder:
    """The distributions of a folder; what has not changed is taken from what is known."""
    now = stamp(path)
    same = known is not None and unchanged(now, known.stamp)
    if known is not None and same and (known.archive or now == ABSENT):
        return known
    before = {found.path: found for found in known.found} if known else {}
    names = [] if same else names_in(path)
    if names is None or path.lower().endswith(".egg"):
        from multitap.registry.installed.library import in_archive

        return Folder(now if names is None else None, in_archive(path), archive=True)
    paths = before if same else _metadata_folders(path, names)
    return Folder(now, tuple(_distribution(each, before.get(each)) for each in paths))


def _metadata_folders(path: str, names: list[str]) -> list[str]:
    return [f"{path}/{n}" for n in names if n.lower().endswith((".dist-info", ".egg-info"))]


def _distribution(path: str, known: Found | None) -> Found:
    told = stamp(f"{path}/entry_points.txt")
    if known and unchanged(told, known.told) and _same_facts(path, known):
        return known
    text = read(f"{path}/entry_points.txt", _ENTRY_POINTS_LIMIT) if told != ABSENT else None
    if text is None or b"multitap." not in text:
        return Found(path, key_of(stem_of(path)[0]), told=told, facts=ABSENT)
    facts = stamp(_metadata_file(path))
    found = _usual(path, text) or _unusual(path)
    return found._replace(told=told, facts=facts)


def _unusual(path: str) -> Found:
    from multitap.registry.installed.library import one_distribution

    return one_distribution(path)


def _same_facts(path: str, known: Found) -> bool:
    return not known.name or unchanged(stamp(_metadata_file(path)), known.facts)


def has_metadata(path: str) -> bool:
    """Is it a distribution, or the empty folder of one?"""
    return not path or any(stamp(f"{path}/{name}") != ABSENT for name in ("METADATA", "PKG-INFO"))


def _metadata_file(path: str) -> str:
    return f"{path}/{'METADATA' if path.lower().endswith('.dist-info') else 'PKG-INFO'}"


def _usual(path: str, text: bytes) -> Found | None:
    entries = entries_of(text)
    headers = headers_of(read(_metadata_file(path), _HEAD_LIMIT) or b"")
    if entries is None or headers is None:
        return None
    return Found(path, key_of(stem_of(path)[0]), *headers, entries)


def entries_of(text: bytes) -> tuple[Entry, ...] | None:
    """Our entry points in an ``entry_points.txt``; ``None`` where a line of it is unusual."""
    if len(text) > _ENTRY_POINTS_LIMIT:
        return None
    try:
        lines = [line.strip() for line in text.decode().splitlines()]
    except UnicodeDecodeError:
        return None
    found, group = [], ""
    for line in lines:
        name, equals, value = line.partition("=")
        if line[:1] == "[" and line[-1:] == "]":
            group = line.strip("[]")
        elif line[:1] in ("", "#"):
            continue
        elif not (group and equals):
            return None
        elif group.startswith("multitap."):
            found.append((group, name.strip(), value.strip()))
    return tuple(found)


def headers_of(metadata: bytes) -> tuple[str, str] | None:
    """Name and version, where each stands once, in one line, among well-formed headers."""
    head, end, _ = metadata.replace(b"\r\n", b"\n").partition(b"\n\n")
    if len(metadata) > _HEAD_LIMIT and not end:
        return None
    text = head.decode("latin-1").rstrip("\n")
    if "\r" in text or not all(_LINE.fullmatch(line) for line in text.split("\n")):
        return None
    found = [(name.lower(), value.strip()) for name, value in _HEADER.findall(text)]
    facts = dict(found)
    if len(found) != 2 or len(facts) != 2 or not all(map(_WORD.fullmatch, facts.values())):
        return None
    return facts["name"], facts["version"]
