"""Both runtimes behind one face: a test is written once, and runs blocking and on an event loop.

>>> for make in WORLDS:
...     with make({"defaults": {"model": "echo:echo"}}) as world:
...         world.call("chat", "Hi").text, len(world.stream("Hi")[0])
('Hi', 3)
('Hi', 3)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from multitap.registry import Registry
from multitap.runtime import AsyncRuntime, Runtime
from multitap.runtime.composition import ConfigSource

__all__ = ("WORLDS", "Blocking", "OnALoop", "World")

T = TypeVar("T")
After = Callable[[list[Any], Any], object]


def _go_on(seen: list[Any], stream: Any) -> bool:
    return True


class World(Protocol):
    """A runtime in its surroundings; a context manager that closes both.

    Attributes:
        rt: The runtime itself.
    """

    rt: Any

    def __enter__(self) -> World: ...

    def __exit__(self, *ending: object) -> None: ...

    def call(self, name: str, /, *args: Any, **options: Any) -> Any:
        """What the runtime's method of this name returns."""
        ...

    def items(
        self, name: str, /, *args: Any, after: After = _go_on, **options: Any
    ) -> tuple[list[Any], Any]:
        """What the stream that this method opens gives, and the stream, which is closed by then.

        Args:
            name: Such as ``pull_stream``.
            args: For the method.
            after: Called after each item with what was seen and the stream; ``False`` leaves.
            options: For the method.
        """
        ...

    def stream(self, *args: Any, **options: Any) -> tuple[list[Any], Any]:
        """The events of an answer, and the stream; see ``items``."""
        ...

    def close(self) -> None:
        """Close the runtime, and the event loop if there is one."""
        ...


class Blocking:
    """``Runtime``, in blocking code."""

    def __init__(
        self, config: ConfigSource = None, registry: Registry | None = None, **options: Any
    ) -> None:
        self.rt = Runtime(config, registry=registry, **options)

    def __enter__(self) -> Blocking:
        return self

    def __exit__(self, *ending: object) -> None:
        self.close()

    def call(self, name: str, /, *args: Any, **options: Any) -> Any:
        """What the runtime's method of this name returns."""
        return getattr(self.rt, name)(*args, **options)

    def stream(self, *args: Any, **options: Any) -> tuple[list[Any], Any]:
        """The events of an answer, and the stream; see ``World.items``."""
        return self.items("stream", *args, **options)

    def items(
        self, name: str, /, *args: Any, after: After = _go_on, **options: Any
    ) -> tuple[list[Any], Any]:
        """What a stream gives, and the stream, which is closed by then; see ``World.items``."""
        seen = []
        with getattr(self.rt, name)(*args, **options) as stream:
            for item in stream:
                seen.append(item)
                if not after(seen, stream):
                    break
        return seen, stream

    def close(self) -> None:
        """Close the runtime."""
        self.rt.close()


class OnALoop:
    """``AsyncRuntime``, on an event loop of its own."""

    def __init__(
        self, config: ConfigSource = None, registry: Registry | None = None, **options: Any
    ) -> None:
        self.rt = AsyncRuntime(config, registry=registry, **options)  # a wrong one leaves no loop
        self.loop = asyncio.new_event_loop()

    def __enter__(self) -> OnALoop:
        return self

    def __exit__(self, *ending: object) -> None:
        self.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return self.loop.run_until_complete(coroutine)

    def call(self, name: str, /, *args: Any, **options: Any) -> Any:
        """What the runtime's method of this name returns."""

        async def call() -> Any:
            return await getattr(self.rt, name)(*args, **options)

        return self.run(call())

    def stream(self, *args: Any, **options: Any) -> tuple[list[Any], Any]:
        """The events of an answer, and the stream; see ``World.items``."""
        return self.items("stream", *args, **options)

    def items(
        self, name: str, /, *args: Any, after: After = _go_on, **options: Any
    ) -> tuple[list[Any], Any]:
        """What a stream gives, and the stream, which is closed by then; see ``World.items``."""

        async def read() -> tuple[list[Any], Any]:
            seen = []
            async with getattr(self.rt, name)(*args, **options) as stream:
                async for item in stream:
                    seen.append(item)
                    if not after(seen, stream):
                        break
            return seen, stream

        return self.run(read())

    def close(self) -> None:
        """Close the runtime, then the loop."""

        async def close() -> None:
            self.rt.close()
            await asyncio.sleep(0)

        self.run(close())
        self.loop.close()


WORLDS: tuple[Callable[..., World], ...] = (Blocking, OnALoop)
"""Both, for ``pytest.mark.parametrize`` or a fixture's ``params``."""
