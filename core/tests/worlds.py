"""What a test does with a runtime, in blocking code and on an event loop: one suite, two worlds."""

from __future__ import annotations

import asyncio

from multitap.runtime import AsyncRuntime, Runtime


class Blocking:
    """What a test does, in blocking code."""

    def __init__(self, config, registry):
        self.rt = Runtime(config, registry=registry)

    def call(self, name, *args, **options):
        return getattr(self.rt, name)(*args, **options)

    def stream(self, *args, **options):
        """The events of an answer; see ``items``."""
        return self.items("stream", *args, **options)

    def items(self, name, *args, after=lambda seen, stream: True, **options):
        """What a stream gives until ``after`` says no, and the stream, which is closed by then."""
        seen = []
        with getattr(self.rt, name)(*args, **options) as stream:
            for event in stream:
                seen.append(event)
                if not after(seen, stream):
                    break
        return seen, stream

    def close(self):
        self.rt.close()


class OnALoop:
    """The same on an event loop of its own."""

    def __init__(self, config, registry):
        self.loop = asyncio.new_event_loop()
        self.rt = AsyncRuntime(config, registry=registry)

    def call(self, name, *args, **options):
        async def run():
            return await getattr(self.rt, name)(*args, **options)

        return self.loop.run_until_complete(run())

    def stream(self, *args, **options):
        return self.items("stream", *args, **options)

    def items(self, name, *args, after=lambda seen, stream: True, **options):
        async def run():
            seen = []
            async with getattr(self.rt, name)(*args, **options) as stream:
                async for event in stream:
                    seen.append(event)
                    if not after(seen, stream):
                        break
            return seen, stream

        return self.loop.run_until_complete(run())

    def close(self):
        async def run():
            self.rt.close()
            await asyncio.sleep(0)

        self.loop.run_until_complete(run())
        self.loop.close()


WORLDS = [Blocking, OnALoop]
