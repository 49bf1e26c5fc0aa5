"""What has been made of the plugins so far: modules loaded, objects built, and what failed."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from multitap.errors import MultitapError
from multitap.registry.loading.forks import renew_after_fork
from multitap.registry.loading.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from multitap.registry.discovery import Claim, Failure
    from multitap.registry.loading.loader import Hooks, Loader
    from multitap.work import Backend

__all__ = ("Workshop",)


class _Built(NamedTuple):
    backend: Backend
    claim: Claim
    plugin: object


class Workshop:
    """Loads and builds, one thread at a time in each package; a reload begins with a new one."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._turns = Turns()
        self._loader: Loader | None = None
        self._failures: dict[Claim, Failure] = {}
        self._built: dict[tuple[str, str], _Built] = {}
        renew_after_fork(self)

    def renew(self) -> None:
        """In a forked child: another thread may have held the lock."""
        self._lock = threading.RLock()

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Those whose modules are loaded."""
        return self._loader.claims if self._loader else ()

    @property
    def failures(self) -> Mapping[Claim, Failure]:
        """Those that are quarantined, with the reason."""
        return dict(self._failures)

    def build(self, capability: str, backend: Backend, claim_of: Callable[[], Claim]) -> object:
        """What the hook of the claim gives for a backend, made once and kept."""
        built = self._built.get((backend.id, capability))
        if built is not None and built.backend is backend:
            return built.plugin
        with self._turns.hold(f"{capability} of {backend.id}"):
            kept = self._kept(capability, backend)
            if kept is None:
                claim = claim_of()
                kept = self._made(claim, backend)
                self._built[backend.id, capability] = _Built(backend, claim, kept)
            return kept

    @contextmanager
    def loaded(self, claim: Claim) -> Generator[Hooks, None, None]:
        """The claim's hooks, to be called inside; who fails is quarantined, and leaves nothing."""
        from multitap.registry.loading.loader import Loader
        from multitap.registry.loading.quarantine import guarded
        from multitap.registry.unusable import blame

        with self._lock:
            loader = self._loader = self._loader or Loader()
        with self._turns.hold(claim.package):
            if claim in self._failures:
                raise blame(claim, self._failures[claim].reason)
            with guarded(claim, self._failed):
                yield loader.load(claim)

    def forget(self, backend_id: str) -> None:
        """Drop what was built for a backend."""
        with self._lock:
            self._built = {key: kept for key, kept in self._built.items() if key[0] != backend_id}

    def keep(self, wanted: Callable[[Claim], bool]) -> None:
        """Drop what was made of all other claims, and their modules."""
        with self._lock:
            self._failures = {c: failure for c, failure in self._failures.items() if wanted(c)}
            self._built = {key: kept for key, kept in self._built.items() if wanted(kept.claim)}
            if self._loader is not None:
                from multitap.registry.loading.modules import disown

                gone = [claim for claim in self._loader.claims if not wanted(claim)]
                disown({claim.package for claim in gone if self._loader.unload(claim)})

    def abandon(self) -> None:
        """Let the next import of every plugin that was loaded here, or failed, run afresh."""
        from multitap.registry.loading.modules import disown, drop_bytecode

        claims = {*self.claims, *self._failures}
        packages = {claim.package for claim in claims if claim.added is None}
        disown(packages)
        drop_bytecode(packages)

    def _kept(self, capability: str, backend: Backend) -> object:
        built = self._built.get((backend.id, capability))
        if built is None:
            return None
        same = built.backend is backend or built.backend == backend
        return built.plugin if same else None

    def _made(self, claim: Claim, backend: Backend) -> object:
        from multitap.registry.loading.loader import answer_of

        with self.loaded(claim) as hooks:
            hook = hooks[f"multitap_{claim.capability}"]
            answer = answer_of(hook, backend, claim.capability)
        if isinstance(answer, MultitapError):
            raise answer
        return answer

    def _failed(self, claim: Claim, failure: Failure) -> None:
        """Quarantine the claim, unless it serves another backend: then this one is at fault."""
        with self._lock:
            if any(built.claim == claim for built in self._built.values()):
                return
            self._failures[claim] = failure
            if self._loader is not None:
                self._loader.unload(claim)
