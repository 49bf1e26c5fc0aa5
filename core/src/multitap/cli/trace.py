"""``--trace``: every request and the head of its answer on standard error, keys masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multitap.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multitap.cli.output import Output
    from multitap.extensions import AttemptEnd, CallEnd, CallInfo, Observer, WireRequest

__all__ = ("Trace",)


class Trace:
    """An observer, and the extension that brings it."""

    def __init__(self, output: Output) -> None:
        self._output = output

    @hookimpl
    def multitap_observer(self) -> Observer:
        """Itself."""
        return self

    def call_started(self, call: CallInfo, /) -> None:
        """Nothing is shown of it."""

    def attempt_started(self, call: CallInfo, number: int, /) -> None:
        """Nothing is shown of it."""

    def request_sent(self, call: CallInfo, request: WireRequest, /) -> None:
        """Show it, its body on one line."""
        head = [f"{request.method} {request.url}", *_lines(request.headers)]
        body = [request.body or "(files)", f"({request.size} bytes)"] if request.size else []
        self._output.hint(f"> {line}" for line in [*head, *body])

    def response_started(self, call: CallInfo, status: int, headers: Mapping[str, str], /) -> None:
        """Show its status and headers."""
        self._output.hint(f"< {line}" for line in [str(status), *_lines(headers)])

    def attempt_ended(self, call: CallInfo, end: AttemptEnd, /) -> None:
        """Show why there is another one."""
        if end.error is not None and end.delay is not None:
            self._output.note(f"! {end.error} Again in {end.delay:.1f} s.")

    def call_ended(self, call: CallInfo, end: CallEnd, /) -> None:
        """Show how long it took."""
        self._output.note(f"= {end.seconds:.3f} s, {end.attempts} attempts")


def _lines(headers: Mapping[str, str]) -> list[str]:
    return [f"{name}: {value}" for name, value in headers.items()]
