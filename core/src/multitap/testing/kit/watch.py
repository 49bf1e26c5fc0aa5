"""What this process is seen to do: connections that lead elsewhere, and any I/O at all.

Python tells its audit hooks of every file, socket and thread. A hook stays to the end of the
process, so there is one, which tells those who watch.
"""

from __future__ import annotations

import ipaddress
import sys
import threading
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import multitap

__all__ = ("input_output", "only_loopback")

Watcher = Callable[[str, tuple[Any, ...]], None]

_watchers: list[Watcher] = []
_hooked = False
_seen: ContextVar[list[str] | None] = ContextVar("seen", default=None)

REGISTRY = Path(multitap.__file__).parent / "registry"
GUARD = str(REGISTRY / "loading" / "hooks.py")
NOT_THE_PLUGINS = (
    str(REGISTRY / "installed"),  # looks at what is there
    "<frozen importlib",  # imports open the files of modules, once
)

IO = {
    "open": "opened",
    "socket.__new__": "made a socket",
    "socket.connect": "connected",
    "socket.getaddrinfo": "looked up",
    "subprocess.Popen": "started a process",
    "os.system": "started a process",
    "os.listdir": "listed",
    "os.scandir": "listed",
    "_thread.start_new_thread": "started a thread",
    "_thread.start_joinable_thread": "started a thread",
}


def _tell(event: str, args: tuple[Any, ...]) -> None:
    for watcher in tuple(_watchers):
        watcher(event, args)


@contextmanager
def _watching(watcher: Watcher) -> Generator[None, None, None]:
    global _hooked
    if not _hooked:
        sys.addaudithook(_tell)
        _hooked = True
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


# ---- connections ---------------------------------------------------------------------------------


@contextmanager
def only_loopback(strays: list[str]) -> Generator[None, None, None]:
    """Refuse every connection but to this machine, of any thread, and note it in ``strays``."""

    def watch(event: str, args: tuple[Any, ...]) -> None:
        host = _host(event, args)
        if host is None or _is_loopback(host):
            return
        strays.append(f"{event.removeprefix('socket.')} {host}")
        raise ConnectionRefusedError(f"The kit lets nothing connect to {host}: tests stay here")

    with _watching(watch):
        yield


def _host(event: str, args: tuple[Any, ...]) -> str | None:
    if event in ("socket.connect", "socket.sendto"):
        address = args[1]
        return str(address[0]) if isinstance(address, tuple) and address else None
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
        return host.decode("ascii", "replace") if isinstance(host, bytes) else host
    return None


def _is_loopback(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


# ---- anything ------------------------------------------------------------------------------------


@contextmanager
def input_output() -> Generator[list[str], None, None]:
    """What is opened, connected and started meanwhile, in words: here, or in a hook's thread."""
    seen: list[str] = []

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if event in IO and _seen.get() is seen and not (_by_python() or _by_the_guard(event)):
            seen.append(f"{IO[event]} {_object(event, args)}".strip())

    here = _seen.set(seen)
    try:
        with _watching(watch):
            yield seen
    finally:
        _seen.reset(here)


def _by_python() -> bool:
    """Is a module imported, or what is installed looked at? That is not the plugin's doing."""
    frames = traceback.walk_stack(sys._getframe(3))
    return any(frame.f_code.co_filename.startswith(NOT_THE_PLUGINS) for frame, _ in frames)


def _by_the_guard(event: str) -> bool:
    """Is it the thread in which the hook itself is called?"""
    frames = (frame.f_code.co_filename for frame, _ in traceback.walk_stack(sys._getframe(3)))
    caller = next((file for file in frames if file != threading.__file__), "")
    return event.endswith("_thread") and caller == GUARD


def _object(event: str, args: tuple[Any, ...]) -> str:
    if event in ("socket.connect", "socket.getaddrinfo"):
        return str(_host(event, args))
    named = event in ("open", "os.listdir", "os.scandir", "subprocess.Popen", "os.system")
    return str(args[0]) if named and args else ""
