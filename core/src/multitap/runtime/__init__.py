"""Runtime and AsyncRuntime: what applications hold."""

from multitap.runtime.aio import AsyncRuntime
from multitap.runtime.base import Check, Models, Probe
from multitap.runtime.sync import Runtime

__all__ = ("AsyncRuntime", "Check", "Models", "Probe", "Runtime")
