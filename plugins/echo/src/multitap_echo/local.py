"""Results that are made in this process, handed over one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from multitap.errors import BackendError
from multitap.events import Failed
from multitap.work import Emit, LocalExchange

T = TypeVar("T")


def local(results: Callable[[], Iterable[T]]) -> LocalExchange[T]:
    """Work that gives these results; a backend error raised on the way is its last one."""

    def run(emit: Emit[T]) -> None:
        try:
            for result in results():
                if not emit([result]):
                    return
        except BackendError as error:
            emit([Failed(error)])

    return LocalExchange(run)
