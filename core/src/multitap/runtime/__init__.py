"""Runtime and AsyncRuntime: what applications hold."""

from multitap.runtime.aio import AsyncModelHandle, AsyncRuntime
from multitap.runtime.base import Check, Models, Probe
from multitap.runtime.sync import ModelHandle, Runtime

__all__ = (
    "AsyncModelHandle",
    "AsyncRuntime",
    "Check",
    "ModelHandle",
    "Models",
    "Probe",
    "Runtime",
)
