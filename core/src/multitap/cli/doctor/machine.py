"""This machine: Python, the core, its extras, and what the environment sets."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import getproxies

from multitap.cli.doctor.findings import Advice, Finding, install
from multitap.config.routes import route_of
from multitap.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from multitap.cli.doctor.installation import Installation

__all__ = (
    "examine_core",
    "examine_extras",
    "examine_proxies",
    "examine_python",
    "examine_variables",
)

_TESTED = ((3, 10), (3, 13))
_EXTRAS = {"rich": "multitap[cli]"}
_SINGLE = {"MULTITAP_CONFIG", "MULTITAP_PLUGINS", "MULTITAP_DEBUG"}


def examine_python(
    _: Installation, version: tuple[int | str, ...] = sys.version_info
) -> Iterator[Finding]:
    """Is it a Python that this version was tested with?"""
    shown = ".".join(map(str, version[:3]))
    low, high = _TESTED
    if low <= version[:2] <= high:
        yield Finding(id="python", level="ok", message=f"Python {shown} at {sys.executable}")
    else:
        span = f"{low[0]}.{low[1]} to {high[0]}.{high[1]}"
        message = f"Python {shown} is not among the tested versions, {span}"
        fix = Advice(f"use a Python from {span} if something breaks")
        yield Finding(id="python", level="warning", message=message, fix=fix)


def examine_core(_: Installation, path: Iterable[str] | None = None) -> Iterator[Finding]:
    """Which Multitap is it, and is it the only one?"""
    places = _copies(sys.path if path is None else path)
    for place, version in list(places.items())[:1]:
        yield Finding(id="multitap", level="ok", message=f"multitap {version} in {place}")
    if len(places) > 1:
        used, *others = (f"{place} ({version})" for place, version in places.items())
        yield Finding(
            id="multitap-twice",
            level="warning",
            message=f"there is more than one multitap: {used} is used, {', '.join(others)} not",
            fix=Advice("run `pip uninstall multitap` once, and look again"),
        )


def _copies(path: Iterable[str]) -> Mapping[Path, str]:
    """The version of each copy by its folder, in the order in which Python looks."""
    from importlib_metadata import distributions

    found: dict[Path, str] = {}
    for owner in distributions(name="multitap", path=list(path)):
        found.setdefault(Path(str(owner.locate_file(""))).resolve(), str(owner.version))
    return found


def examine_extras(_: Installation) -> Iterator[Finding]:
    """Is a package missing that makes the command line better?"""
    for package, extra in _EXTRAS.items():
        if find_spec(package) is None:
            message = f"{package} is not installed: tables on a terminal are plain"
            fix = install(extra)
            yield Finding(
                id="extra-missing", level="warning", subject=package, message=message, fix=fix
            )


def examine_variables(installation: Installation) -> Iterator[Finding]:
    """Which of our environment variables are set? Their values may be secret, and stay unsaid."""
    ours = sorted(name for name in installation.environ if name.startswith("MULTITAP_"))
    known = [name for name in ours if name in _SINGLE or re.fullmatch(r"MULTITAP_.+__.+", name)]
    if known:
        message = f"environment variables in effect: {', '.join(known)}"
        yield Finding(id="variables", level="info", message=message)
    for name in sorted(set(ours) - set(known)):
        yield Finding(
            id="variable-unknown",
            level="warning",
            subject=name,
            message=f"{name} is set and means nothing",
            fix=Advice(f"unset {name}, or write MULTITAP_<SECTION>__<KEY>"),
        )


def examine_proxies(installation: Installation) -> Iterator[Finding]:
    """Which backends go through a proxy of the environment, or of the system?"""
    proxies = {k for k in getproxies() if k in ("http", "https", "all")}
    if not proxies:
        return
    through = [name for name in installation.looked_at if _takes_systems(installation, name)]
    who = f"{', '.join(through)} {'goes' if len(through) == 1 else 'go'}"
    names = ", ".join(f"{kind}_proxy" for kind in sorted(proxies))
    yield Finding(
        id="proxy",
        level="info",
        subject=", ".join(through),
        message=f"{names} is set; {who if through else 'no backend goes'} through it",
        fix=Advice('write proxy = "none" in a backend\'s section of llm.toml to go past it')
        if through
        else None,
    )


def _takes_systems(installation: Installation, name: str) -> bool:
    endpoint, section = installation.endpoint(name), installation.sections[name]
    try:
        return bool(endpoint) and route_of(section, endpoint).proxy_source is not None
    except ConfigError:  # told with the backend, and by each call
        return False
