"""Running code of a plugin so that, where it fails, nothing of it stays."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from multitap.registry.aside import printed_aside
from multitap.registry.exact import owned_by
from multitap.registry.guard import Guard, Interrupts
from multitap.registry.modules import drop, of_packages, own
from multitap.registry.unusable import blame, failure_of, reason_of

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
    before, guard = set(sys.modules), Guard()
    with Interrupts() as interrupts, printed_aside() as aside:
        try:
            yield
        except BaseException as error:
            guard.restore()
            packages = {claim.package, *owned_by(claim.distribution)}
            drop(of_packages(packages) - before)
            if interrupts.came:
                raise KeyboardInterrupt from error
            failed(claim, failure_of(claim, error, aside.text))
            raise blame(claim, reason_of(error)) from error
    own(of_packages({claim.package}) - before)
