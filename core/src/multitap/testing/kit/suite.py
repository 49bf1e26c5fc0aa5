"""What every suite has: the rules of every plugin, whatever it offers.

A plugin's test is a class of suites, one for each capability that it declares::

    from pathlib import Path
    from multitap.testing.kit import CatalogSuite, ChatSuite

    class TestAcme(ChatSuite, CatalogSuite):
        provider = "acme"
        vectors = Path(__file__).parent / "vectors"
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from multitap.capabilities import API, CAPABILITIES
from multitap.testing.finding import Finding
from multitap.testing.kit.base import Base
from multitap.testing.kit.listing import Unlisted, imported_by_listing
from multitap.testing.kit.rule import Broken, Rule, rule, rules_of
from multitap.testing.kit.vector import CAPABILITY_OF, Vector
from multitap.testing.kit.watch import input_output
from multitap.testing.project import providers_above
from multitap.testing.worlds import Blocking

__all__ = ("Suite",)


class Suite(Base):
    """The rules of every plugin, whatever it offers."""

    @rule(
        "plugin/manifest",
        "What the distribution and its provider.toml say is valid.",
        mend="Correct pyproject.toml or provider.toml as the finding says, and install it again.",
    )
    def test_what_the_distribution_says_is_valid(self) -> None:
        subject = self.subject()
        if not subject.rows:
            names = ", ".join(providers_above(Path(inspect.getfile(type(self)))))
            here = f"; the project of this test declares {names}" if names else ""
            raise Finding(
                f"no installed distribution has an entry point named {self.provider!r}{here}",
                expected=f'[project.entry-points."multitap.chat"] {self.provider} = "a.module"',
            )
        if subject.failure is not None and subject.failure.__cause__ is not None:
            raise subject.failure  # the plugin's own code did, and its place is told
        problems = [*self._states(), *self._facts()]
        if problems:
            raise Finding("\n".join(problems), expected="nothing to complain about")

    def _states(self) -> Iterator[str]:
        subject = self.subject()
        usable = {row.capability for row in subject.rows if row.state in ("declared", "loaded")}
        for row in subject.rows:
            if row.capability not in usable:
                failure = subject.registry.failures.get((row.capability, row.provider))
                reason = f": {failure.reason}" if failure else ""
                yield f"{row.capability} of {row.distribution} is {row.state}{reason}"

    def _facts(self) -> Iterator[str]:
        info = self.subject().info
        if info.api != API:
            yield f"api is {info.api}; the hooks that are installed here are api {API}"
        for name, url in (("endpoint", info.endpoint), ("docs", info.docs)):
            if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc):
                yield f"{name} is {url!r}, which is no URL of http or https"
        if info.endpoint.endswith("/"):
            yield f"endpoint is {info.endpoint!r}; the slash at its end has to go"
        for kind, rows in (("settings", info.settings), ("parameters", info.parameters)):
            bare = [name for name, row in rows.items() if not row.help]
            yield from (f"{kind}.{name} has no help, a sentence about it" for name in bare)

    @rule(
        "plugin/suites",
        "Every capability that is declared has its suite.",
        mend="Name the suite among the base classes; its vectors go into the same folder.",
    )
    def test_every_declared_capability_has_its_suite(self) -> None:
        bases = [*type(self).__mro__, *(self.rest.__mro__ if self.rest else ())]
        suites = {name for base in bases if (name := vars(base).get("capability"))}
        missing = sorted(self.subject().capabilities - suites, key=CAPABILITIES.index)
        if missing:
            names = ", ".join(f"{name.title()}Suite" for name in missing)
            raise Finding(
                f"the class has no suite for {', '.join(missing)}",
                expected=f"class {type(self).__name__}(…, {names})",
            )

    @rule(
        "plugin/vectors",
        "Every capability that is declared has a recorded answer, and chat a stream.",
        mend="Record an exchange with a real server, and say in it what was asked and what is to "
        "come of it.",
        wire=True,
    )
    def test_every_declared_capability_has_a_vector(self) -> None:
        vectors = [*self.known_vectors(), *(self.rest.known_vectors() if self.rest else ())]
        known = [(vector.ask.capability, vector.kind) for vector in vectors]
        whole = {capability for capability, kind in known if kind in ("answers", "streams")}
        asked = self.subject().capabilities & {*CAPABILITY_OF.values()}
        missing = sorted(asked - whole, key=CAPABILITIES.index)
        if "chat" not in missing and "chat" in self.subject().capabilities:
            missing += [] if ("chat", "streams") in known else ["a stream of chat"]
        if missing:
            raise Finding(
                f"{len(known)} vectors, and none for {', '.join(missing)}",
                expected=f"a file for each in {self.vectors}",
            )

    @rule(
        "plugin/deviations",
        "Every deviation names a rule that this class checks.",
        mend="Correct the rule's name; ids are those of docs/kit.md.",
    )
    def test_every_deviation_names_a_rule(self) -> None:
        known = {rule.id: rule for rule in rules_of(type(self))}
        for named in self.deviations:
            id_, bracket, vector = named.partition("[")
            if id_ not in known:
                raise _unknown("rule", id_, known, named)
            names = [each.name for each in self.vectors_of(known[id_])]
            if bracket and vector.removesuffix("]") not in names:
                raise _unknown("vector", vector.removesuffix("]"), names, named)

    @rule(
        "plugin/lazy",
        "To list the plugin imports none of its modules.",
        mend="Let nothing import the package by itself: no .pth file, no sitecustomize.",
    )
    def test_listing_imports_none_of_its_modules(self) -> None:
        info = self.subject().info
        try:
            modules = imported_by_listing(info.distribution, info.name, self.project())
        except Unlisted as missing:
            raise Finding(missing, expected="`pip install -e .` in the plugin's folder") from None
        if modules:
            raise Finding(
                f"{', '.join(modules)} were imported",
                expected=f"no module of {info.distribution}",
                smallest='python -c "import multitap; multitap.capabilities()"',
            )

    @rule(
        "plugin/loopback",
        "No test of it connects to anything but this machine.",
        mend="Ask nobody but the backend's endpoint, and let the engine do it: describe the work.",
    )
    def test_nothing_connects_to_another_machine(self, strays: list[str]) -> None:
        for capability in sorted(self.subject().capabilities):
            self.described(capability)
        self.found_elsewhere(strays)

    def found_elsewhere(self, found: list[str]) -> None:
        """Say so, where there are connections that lead elsewhere."""
        attempts = [*self.subject().strays, *found]
        found.clear()
        self.subject().strays.clear()
        if attempts:
            finding = Finding(", ".join(dict.fromkeys(attempts)), expected="no connection at all")
            promise: Rule = Suite.test_nothing_connects_to_another_machine.rule  # type: ignore[attr-defined]
            raise Broken(promise, finding, self.provider)

    @rule(
        "plugin/idle",
        "Hooks, and describing work, do no I/O: no file, no socket, no thread.",
        mend="Move it into the work itself: an HttpCall, the steps of an Operation, or run.",
    )
    def test_hooks_and_descriptions_do_no_io(self) -> None:
        subject = self.subject()
        again = attrs.evolve(subject.backend, id="again")
        for capability in sorted(subject.capabilities):
            self.described(capability)  # what it imports on the way is there from now on
            with input_output() as seen:
                self.described(capability, again)
            subject.registry.forget(again.id)
            if seen:
                raise Finding(
                    "\n".join(dict.fromkeys(seen)),
                    expected="nothing is opened, connected or started",
                    smallest=f"multitap_{capability}(backend), and then a question described",
                )

    def described(self, capability: str, backend: Any = None) -> Any:
        """The work of a plain question; a suite says how with ``describe_<capability>``."""
        built = self.subject().built(capability, backend)
        describe = getattr(self, f"describe_{capability}", None)
        return describe(built) if describe else built

    @rule(
        "plugin/two_backends",
        "Two backends of the provider share nothing.",
        mend="Keep nothing of a backend outside of the object that its hook returns.",
    )
    def test_two_backends_share_nothing(self) -> None:
        subject = self.subject()
        other = attrs.evolve(subject.backend, id="other", endpoint="http://127.0.0.1:10")
        for capability in sorted(subject.capabilities):
            one, two = subject.built(capability), subject.built(capability, other)
            if one is two and _state(one):
                raise Finding(
                    f"both are given the same object, which holds {_state(one)}",
                    expected="each has an object of its own",
                    smallest=f"multitap_{capability} for two sections of llm.toml",
                )
        stream = next(iter(self.streams()), None)
        if "chat" in subject.capabilities and not subject.in_process and stream:
            self._ask_in_turn(stream)

    def _ask_in_turn(self, vector: Vector) -> None:
        """Each server gets its own key, and the second question is like the first."""
        with self._serving(vector, None) as first, self._serving(vector, None) as second:
            config = subject_config(self, first.url, second.url)
            with Blocking(config, self.subject().registry) as here:
                for backend in (self.provider, "other") * 2:
                    asked = {**vector.ask.options, "model": f"{backend}:{self.model}"}
                    here.stream(*vector.ask.args, **asked)
        for server, key, foreign in ((first, "one", "two"), (second, "two", "one")):
            if any(f"key-{foreign}".encode() in request.raw for request in server.requests):
                raise Finding(f"the server of key-{key} was sent key-{foreign}")
            # how often it is asked whether a job is done is the server's affair
            orders = [each for each in server.requests if each.method != "GET"]
            bodies = [request.body for request in orders]
            if not bodies or bodies[: len(bodies) // 2] != bodies[len(bodies) // 2 :]:
                raise Finding(
                    "\n".join(f"{each.method} {each.target} {each.body!r}" for each in orders),
                    expected="two equal requests",
                    smallest="two backends, asked in turn: one, other, one, other",
                )


def subject_config(suite: Base, one: str, two: str) -> dict[str, Any]:
    """``llm.toml`` with two backends of the provider, at two servers, with keys of their own."""
    config = suite.subject().config_at(one, api_key="key-one")
    own = config[suite.provider]
    other = {**own, "provider": suite.provider, "endpoint": two, "api_key": "key-two"}
    return {**config, "other": other}


def _unknown(kind: str, name: str, known: Collection[str], named: str) -> Finding:
    near = get_close_matches(name, list(known), 3) or sorted(known)
    return Finding(f"there is no {kind} {name!r}", expected=", ".join(near), smallest=named)


def _state(built: object) -> str:
    """What an object holds, by name."""
    slots = [name for cls in type(built).__mro__ for name in vars(cls).get("__slots__", ())]
    names = {*getattr(built, "__dict__", ()), *slots} - {"__weakref__"}
    return ", ".join(sorted(names))
