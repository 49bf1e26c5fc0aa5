"""One outlet, every model backend.

>>> import multitap
>>> with multitap.Runtime({"defaults": {"model": "echo:echo"}}) as rt:
...     rt.chat("hello").text
'hello'

``Runtime`` and ``AsyncRuntime`` talk to every installed backend; ``capabilities()`` says who offers
what; the errors are in ``multitap.errors``. Nothing is imported until it is used.
"""

from __future__ import annotations

import threading
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multitap import errors, events
    from multitap.answer import Answer
    from multitap.capabilities.catalog import Model
    from multitap.messages import Audio, Document, Image, Message, Tool, ToolCall, ToolResult
    from multitap.registry import Row
    from multitap.runtime import AsyncRuntime, Runtime

__all__ = (
    "Answer",
    "AsyncRuntime",
    "Audio",
    "Document",
    "Image",
    "Message",
    "Model",
    "Runtime",
    "Tool",
    "ToolCall",
    "ToolResult",
    "capabilities",
    "default",
    "errors",
    "events",
)

_HOMES = {
    "Answer": "multitap.answer",
    "AsyncRuntime": "multitap.runtime",
    "Audio": "multitap.messages",
    "Document": "multitap.messages",
    "Image": "multitap.messages",
    "Message": "multitap.messages",
    "Model": "multitap.capabilities.catalog",
    "Runtime": "multitap.runtime",
    "Tool": "multitap.messages",
    "ToolCall": "multitap.messages",
    "ToolResult": "multitap.messages",
}

_lock = threading.Lock()
_default: Runtime | None = None


def default() -> Runtime:
    """The runtime of this process, made from the layers of ``llm.toml`` at the first call."""
    global _default
    with _lock:
        if _default is None:
            from multitap.runtime import Runtime

            _default = Runtime()
        return _default


def capabilities() -> Sequence[Row]:
    """Who offers what, as the installed distributions declare it; no plugin is imported.

    Each row has ``capability``, ``provider``, ``distribution``, ``version`` and ``state``.
    """
    if _default is not None:
        return _default.capabilities()
    from multitap.config import is_anything_configured
    from multitap.registry import Registry

    if not is_anything_configured():
        return Registry().capabilities()
    from multitap.config import load_config

    return Registry.of(load_config().plugins).capabilities()


# an import from the package of the same name puts the package in the function's place, for Python
# sets every submodule as an attribute; so the package is there from the start, and can be called
_Capabilities = type("_Capabilities", (ModuleType,), {"__call__": staticmethod(capabilities)})
import_module("multitap.capabilities").__class__ = _Capabilities


def __getattr__(name: str) -> Any:
    if name in ("errors", "events"):
        return import_module(f"multitap.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("multitap")
    if name not in _HOMES:
        raise AttributeError(f"module 'multitap' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
