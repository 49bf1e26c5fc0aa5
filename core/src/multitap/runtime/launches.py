"""The launching of servers, in blocking code: a part of ``Runtime``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeVar
from weakref import WeakSet

from multitap.engine.sync import Stream
from multitap.events import Loading
from multitap.runtime.launching import Launched
from multitap.runtime.media_verbs import MediaVerbs
from multitap.runtime.running import Running

__all__ = ("Launches", "Server")

S = TypeVar("S", bound="Server")


class Server(Running):
    """A server as long as the block: ``with rt.launch("vllm:…") as server:``.

    Iterating gives a ``Loading`` for each line of its log until it is ready. ``close`` may be
    called from any thread, at any time; after the block no process of it is left.
    """

    def __init__(
        self,
        launched: Launched,
        steps: Stream[Loading],
        forget: Callable[[str], None],
        *,
        waits: bool,
    ) -> None:
        super().__init__(launched, steps, forget)
        self._steps = steps
        self._waits = waits

    def __enter__(self: S) -> S:
        try:
            self._steps.__enter__()
            if self._waits:
                for _ in self._steps.batches():
                    pass
                self._check_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        self._kept.wait()

    def wait(self) -> None:
        """Block until it has ended, by itself or by ``close`` in another thread."""
        self._kept.wait()

    def __iter__(self) -> Iterator[Loading]:
        return iter(self._steps)


class Launches(MediaVerbs):
    """What starts servers on this machine."""

    _servers: WeakSet[Server]

    def launch(self, model: str | None = None, **options: Any) -> Server:
        """Start a server for a model, and end it with the block. Provisional.

        Entering the block waits until it is ready. The server takes calls under ``server.ref``;
        it listens on this machine alone, and takes a key where the provider's variable, such as
        ``VLLM_API_KEY``, is set. Nothing is installed; an image is fetched as ``pull`` says, and a
        server may download the model by itself.

        Args:
            model: A model reference, such as ``vllm:HuggingFaceTB/SmolLM2-360M-Instruct``.
            options: ``container`` (``"docker"`` or ``"podman"``; ``None``: a program of this
                machine), ``tag`` of its image, ``pull`` (``"missing"``, ``"never"`` or
                ``"always"``), ``executable`` (in place of the plugin's own, a text or a list of
                words), ``port`` (0: a free one), ``tool_parser``, ``options`` (more flags, by
                name; ``None`` takes a default away), ``timeout`` (seconds until it is ready, 480),
                ``grace`` (seconds that it has to end by itself, 10).

        Raises:
            LocalError: There is no such executable, or the container engine does not answer.
            EngineError: It ended before it was ready; the message has the end of its log.
            Timeout: ``launch_timeout``: it did not become ready in time.
            NotSupported: The provider launches nothing, or not in this form.
        """
        return self._server(model, options, waits=True)

    def launch_stream(self, model: str | None = None, **options: Any) -> Server:
        """Likewise, but entering only starts it: ``for step in server`` until it is ready."""
        return self._server(model, options, waits=False)

    def _server(self, model: str | None, options: dict[str, Any], *, waits: bool) -> Server:
        launched = self._parts.launch(model, **options)
        server = Server(launched, self._stream(launched.call), self._ended, waits=waits)
        self._servers.add(server)
        return server

    def _ended(self, backend: str) -> None:
        raise NotImplementedError
