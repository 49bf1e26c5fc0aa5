"""What every suite has: the plugin under test, its vectors, and a runtime in both worlds.

A plugin's test is a class of suites, one for each capability that it declares::

    from pathlib import Path
    from multitap.testing.kit import CatalogSuite, ChatSuite

    class TestAcme(ChatSuite, CatalogSuite):
        provider = "acme"
        vectors = Path(__file__).parent / "vectors"
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Union

import pytest

from multitap.capabilities import CAPABILITIES
from multitap.registry import Registry
from multitap.testing.finding import Finding
from multitap.testing.kit.replay import replay
from multitap.testing.kit.rule import Rule, rule
from multitap.testing.kit.subject import Subject
from multitap.testing.kit.vector import Vector, load_vectors
from multitap.testing.project import project_of, registry_of
from multitap.testing.server import Server
from multitap.testing.worlds import WORLDS, World

__all__ = ("Suite",)


class Suite:
    """The rules of every plugin, whatever it offers.

    Attributes:
        provider: The provider under test; the one thing that has to be set.
        vectors: A folder of vectors, or the vectors themselves.
        config: What ``llm.toml`` is to say beside the endpoint: settings, a default model.
        deviations: Rules that are known to be broken, and why; one that is kept after all fails.
    """

    provider: ClassVar[str]
    vectors: ClassVar[Union[Path, Iterable[Vector]]] = ()
    config: ClassVar[Mapping[str, Any]] = {}
    deviations: ClassVar[Mapping[str, str]] = {}

    # ---- for a plugin to override ----------------------------------------------------------------

    @classmethod
    def registry(cls) -> Registry:
        """Where the provider is found: in the project that the test is of, or what is installed."""
        folder = project_of(Path(inspect.getfile(cls)), cls.provider)
        return Registry() if folder is None else registry_of(folder)

    @classmethod
    def server(cls) -> Server | None:
        """A server that answers by rules, where the plugin's tests have one.

        ``None``: what the vectors recorded is said again, whatever is asked.
        """
        return None

    # ---- for its tests ---------------------------------------------------------------------------

    @classmethod
    def subject(cls) -> Subject:
        """The plugin under test, made once for all tests of the class."""
        if "_subject" not in vars(cls):
            cls._subject = Subject(
                provider=cls.provider, registry=cls.registry(), config=cls.config
            )
        return cls._subject

    _subject: ClassVar[Subject]

    @classmethod
    def known_vectors(cls) -> list[Vector]:
        """All vectors, the smallest first."""
        if isinstance(cls.vectors, Path):
            return list(load_vectors(cls.vectors))
        return sorted(cls.vectors, key=lambda each: len(each.recording.response))

    @classmethod
    def vectors_of(cls, rule: Rule) -> list[Vector]:
        """The vectors that a rule is checked with."""
        capability = rule.id.partition("/")[0]
        return [
            vector
            for vector in cls.known_vectors()
            if vector.ask.capability == capability and rule.vectors in (vector.kind, "all")
        ]

    @pytest.fixture(params=WORLDS, ids=["sync", "async"])
    def world(self, request: pytest.FixtureRequest) -> Any:
        """Makes runtimes in blocking code, or on an event loop."""
        return request.param

    @contextmanager
    def answering(self, world: Any, vector: Vector | None = None) -> Iterator[tuple[World, Server]]:
        """A runtime of this plugin alone, and the server that it talks to.

        Args:
            world: One of ``WORLDS``.
            vector: What the server is to say; ``None``: the plugin's own ``server()``, or all of
                its vectors, each at its path.
        """
        own = self.server() if vector is None else None
        subject = self.subject()
        with (
            own or Server(replay([vector] if vector else self.known_vectors())) as server,
            world(subject.config_at(server.url), subject.registry) as here,
        ):
            yield here, server

    # ---- the rules of every plugin ---------------------------------------------------------------

    @rule("plugin/suites", "Every capability that is declared has its suite.")
    def test_every_declared_capability_has_its_suite(self) -> None:
        suites = {name for base in type(self).__mro__ if (name := vars(base).get("capability"))}
        missing = sorted(self.subject().capabilities - suites, key=CAPABILITIES.index)
        if missing:
            names = ", ".join(f"{name.title()}Suite" for name in missing)
            raise Finding(
                f"the class has no suite for {', '.join(missing)}",
                expected=f"class {type(self).__name__}(…, {names})",
            )
