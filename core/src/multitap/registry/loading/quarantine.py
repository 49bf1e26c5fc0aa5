"""Running code of a plugin so that, where it fails, nothing of it stays."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from multitap.redaction import scrub
from multitap.registry.installed.library import owned_by
from multitap.registry.loading.changes import Changes
from multitap.registry.loading.guard import Guard, Interrupts
from multitap.registry.loading.modules import drop, of_packages, own
from multitap.registry.loading.prints import printed_aside
from multitap.registry.unusable import blame, failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from multitap.registry.discovery import Claim, Failure

__all__ = ("guarded",)


@contextmanager
def guarded(claim: Claim, failed: Callable[[Claim, Failure], None]) -> Generator[None, None, None]:
    """Run what is inside as the claim's plugin.

    Whatever it raises, the process is put back as it was, ``failed`` is told, and a ``PluginError``
    that names the distribution is raised; the user's Ctrl-C passes, and is nobody's failure.
    """
    before, guard, changes = set(sys.modules), Guard(), Changes()
    with Interrupts() as interrupts, printed_aside() as aside:
        try:
            yield
        except BaseException as error:
            failure = failure_of(claim, error, aside.text)  # Python may import anew to describe it
            gone = of_packages({claim.package, *owned_by(claim.distribution)}) - before
            guard.restore(kept=set(sys.modules) - before - gone)
            drop(gone)
            if interrupts.came:
                raise KeyboardInterrupt from error
            failed(claim, failure)
            scrub(error)
            raise blame(claim, failure.reason) from error
    changes.tell(claim)
    guard.take_back()
    own(of_packages({claim.package}) - before)
