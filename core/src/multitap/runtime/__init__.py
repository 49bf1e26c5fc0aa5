"""Runtime and AsyncRuntime: what applications hold."""

from multitap.runtime.aio import AsyncRuntime
from multitap.runtime.base import Check, Models, Probe
from multitap.runtime.handles import AsyncModelHandle, ModelHandle
from multitap.runtime.sync import Runtime

__all__ = (
    "AsyncModelHandle",
    "AsyncRuntime",
    "Check",
    "ModelHandle",
    "Models",
    "Probe",
    "Runtime",
)
