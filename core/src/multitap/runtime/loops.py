"""What is to be done when an event loop ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

__all__ = ("at_the_end_of_the_loop",)


def at_the_end_of_the_loop(do: Callable[[], None]) -> Callable[[], None]:
    """Have something done when the running loop is shut down, as ``asyncio.run`` does.

    A loop then closes the asynchronous generators that were begun on it; this is one. What is
    returned does it at once instead, from any thread.
    """

    async def until_the_end() -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            do()

    waiting = until_the_end()

    def now() -> None:
        with suppress(StopIteration, RuntimeError):  # the loop does it just now
            waiting.aclose().send(None)

    with suppress(StopIteration):
        waiting.asend(None).send(None)
    return now
