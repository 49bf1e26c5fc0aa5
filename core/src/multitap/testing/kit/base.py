"""The plugin under test, its vectors, and a runtime in both worlds: what every check works with."""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Union

import attrs
import pytest

from multitap.policy.retry import Retry, RetryPolicy
from multitap.registry import Registry
from multitap.testing.kit.body import plain_values
from multitap.testing.kit.replay import replay
from multitap.testing.kit.rule import Rule
from multitap.testing.kit.subject import Subject
from multitap.testing.kit.vector import Vector, load_vectors
from multitap.testing.kit.watch import only_loopback
from multitap.testing.project import project_of, registry_of
from multitap.testing.server import Server
from multitap.testing.steps import Script
from multitap.testing.worlds import WORLDS, World

__all__ = ("Base",)


class Base:
    """A plugin's test class: what its author says, and what the checks make of it.

    Attributes:
        provider: The provider under test; the one thing that has to be set.
        vectors: A folder of vectors, or the vectors themselves.
        model: The model that is asked, where its name makes a difference.
        config: What ``llm.toml`` is to say beside the endpoint: settings, a default model.
        deviations: Rules that are known to be broken, and why; one that is kept after all fails.
            ``chat/cuts[hello]`` is the rule with one vector alone.
        rest: Where this class checks a part of the provider with other settings: the class that
            checks all of it.
    """

    provider: ClassVar[str]
    vectors: ClassVar[Union[Path, Iterable[Vector]]] = ()
    model: ClassVar[str] = "model"
    config: ClassVar[Mapping[str, Any]] = {}
    deviations: ClassVar[Mapping[str, str]] = {}
    rest: ClassVar[Union[type[Base], None]] = None
    live: ClassVar[bool] = False

    # ---- for a plugin to override ----------------------------------------------------------------

    @classmethod
    def registry(cls) -> Registry:
        """Where the provider is found: in the project that the test is of, or what is installed."""
        folder = cls.project()
        return Registry() if folder is None else registry_of(folder)

    @classmethod
    def project(cls) -> Path | None:
        """The folder above the test whose ``pyproject.toml`` declares the provider."""
        return project_of(Path(inspect.getfile(cls)), cls.provider)

    @classmethod
    def server(cls) -> Server | None:
        """A server that answers by rules, where the plugin's tests have one.

        ``None``: what the vectors recorded is said again, whatever is asked.
        """
        return None

    def read_request(self, body: bytes) -> object:
        """The values in a request's body, as a server reads them.

        Override it where bodies are no JSON: give a mapping, a list, or whatever they are made of,
        with texts as they were before they were written into the request.

        Args:
            body: The bytes that were sent; there are some.
        """
        return plain_values(body)

    # ---- for its tests ---------------------------------------------------------------------------

    @classmethod
    def subject(cls) -> Subject:
        """The plugin under test, made once for all tests of the class."""
        if "_subject" not in vars(cls):
            cls._subject = Subject(
                provider=cls.provider,
                model=cls.model,
                registry=cls.registry(),
                config=cls.config,
            )
        return cls._subject

    _subject: ClassVar[Subject]

    @classmethod
    def known_vectors(cls) -> list[Vector]:
        """All vectors, the smallest first."""
        if "_vectors" not in vars(cls):
            found = load_vectors(cls.vectors) if isinstance(cls.vectors, Path) else cls.vectors
            cls._vectors = sorted(found, key=lambda each: len(each.recording.response))
        return cls._vectors

    _vectors: ClassVar[list[Vector]]

    @classmethod
    def vectors_of(cls, rule: Rule) -> list[Vector]:
        """The vectors that a rule is checked with, the smallest first."""
        capability, wanted = rule.id.partition("/")[0], set(rule.vectors.split())
        known = [each for each in cls.known_vectors() if each.ask.capability == capability]
        return [vector for vector in known if vector.kinds & wanted]

    @classmethod
    def streams(cls) -> list[Vector]:
        """The vectors that are whole streams of chat, the smallest first."""
        return [v for v in cls.known_vectors() if v.ask.verb == "stream" and v.kind == "streams"]

    @classmethod
    def questions_of(cls, rule: Rule) -> list[Vector]:
        """What a plugin without bytes, or a real server, is asked: ``<capability>_questions``."""
        capability, wanted = rule.id.partition("/")[0], set(rule.vectors.split())
        asks = getattr(cls, f"{capability}_questions", ())
        known = [Vector.question(f"{ask.verb}-{n}", ask) for n, ask in enumerate(asks)]
        return [vector for vector in known if vector.kinds & wanted]

    @classmethod
    def asks_itself(cls, rule: Rule) -> bool:
        """Does a rule find its own questions where there are no vectors?"""
        return not hasattr(cls, f"{rule.id.partition('/')[0]}_questions")

    @pytest.fixture(params=WORLDS, ids=["sync", "async"])
    def world(self, request: pytest.FixtureRequest) -> Any:
        """Makes runtimes in blocking code, or on an event loop."""
        return request.param

    @pytest.fixture(autouse=True)
    def strays(self, request: pytest.FixtureRequest) -> Iterator[list[str]]:
        """Connections that lead elsewhere while the test runs; all of them are refused."""
        with ExitStack() as guard:
            found: list[str] = []
            if not self.live:
                guard.enter_context(only_loopback(found))
            yield found
        self.found_elsewhere(found)

    def found_elsewhere(self, found: list[str]) -> None:
        """Say so, where there are connections that lead elsewhere."""
        raise NotImplementedError

    # ---- a runtime and its server ----------------------------------------------------------------

    @contextmanager
    def answering(
        self, world: Any, vector: Vector | None = None, *, script: Script | None = None
    ) -> Generator[tuple[World, Any], None, None]:
        """A runtime of this plugin alone, and the server that it talks to.

        Nothing is tried twice, so that what a plugin does wrong once is seen. With
        ``--multitap-live`` it is the server that ``llm.toml`` names, and there is none to look at.

        Args:
            world: One of ``WORLDS``.
            vector: What the server is to say; ``None``: the plugin's own ``server()``, or all of
                its vectors, each at its path.
            script: What it is to do, instead of any of that.
        """
        if self.live:
            subject = self.subject()
            with world(subject.live_config(), subject.registry) as here:
                yield here, None
            return
        with self._serving(vector, script) as server, self.asking(world, server) as here:
            yield here, server

    @contextmanager
    def asking(self, world: Any, server: Server, **section: Any) -> Generator[World, None, None]:
        """A runtime of this plugin at a server, with more keys in its section of ``llm.toml``."""
        subject = self.subject()
        endpoint = "" if subject.in_process else server.url
        with world(subject.config_at(endpoint, **section), subject.registry) as here:
            once = Retry(RetryPolicy(attempts=1))
            here.rt._parts.traffic.policy = once.policy
            pull = here.rt._parts.pull
            here.rt._parts.pull = lambda *asked: attrs.evolve(pull(*asked), retry=once)
            yield here

    def _serving(self, vector: Vector | None, script: Script | None) -> Server:
        if script is not None:
            return Server(script)
        own = self.server() if vector is None else None
        return own or Server(replay([vector] if vector else self.known_vectors()))
