"""The rules of a launcher.

Nothing is started: what a launcher says of a start is data, and it is the data that is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, ClassVar

import attrs
import pytest

from multitap.capabilities.launcher import Container, Launch, Launcher, LaunchRequest, Process
from multitap.errors import NotSupported
from multitap.runtime import Runtime
from multitap.testing.finding import Finding
from multitap.testing.kit.rule import rule
from multitap.testing.kit.subject import NOWHERE
from multitap.testing.kit.suite import Suite

__all__ = ("LauncherSuite",)

MODELS = ("acme/Kit-7B", "/srv/models/Kit-7B.gguf")
PORTS = (41007, 52003)
SECRET = "the-secret-of-the-kit"  # noqa: S105 - it opens nothing
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
LOOPBACK = re.compile(r"(?<![\w.])(127\.0\.0\.1|localhost)(?![\w.])|(?<![\w:])::1(?!\w)")
EVERYWHERE = re.compile(r"(?<![\w.])0\.0\.0\.0(?![\w.])|(^|[=\[])::(?=$|\])")


class LauncherSuite(Suite):
    """What a plugin that says how a server is started promises.

    Attributes:
        launcher_questions: What it is asked to start; what it refuses with ``NotSupported`` is not
            looked at.
    """

    capability: ClassVar[str] = "launcher"
    launcher_questions: ClassVar[Sequence[LaunchRequest]] = tuple(
        LaunchRequest(model=model, port=PORTS[0], container=container)
        for container in (False, True)
        for model in MODELS
    )

    def describe_launcher(self, launcher: Launcher) -> Launch | None:
        """What is to be run, of the first question that it does not refuse."""
        found = (launched(launcher, request) for request in self.launcher_questions)
        return next((launch for launch in found if launch is not None), None)

    @rule(
        "launcher/data",
        "What is to be run is a Process or a Container of texts, and for one request the same.",
        mend="Make every word of argv a str; read no clock, no file and no free port.",
    )
    def test_launcher_data(self) -> None:
        known = list(self._launches())
        if not known:
            expected = "a Process or a Container for one question at least"
            raise Finding("NotSupported, whatever is asked", expected=expected)
        for request, launch in known:
            assert_data(request, launch)
            again = self._with(request, {})
            if launch != again:
                raise Finding(again, expected=launch, smallest=f"{request}, asked again")

    @rule(
        "launcher/port",
        "A Process is given the port that was asked for; a Container has one of its own.",
        mend="Put request.port into argv, or into the environment; a container's is fixed.",
    )
    def test_launcher_port(self) -> None:
        for port in PORTS:
            for request, launch in self._launches(port=port):
                said = re.search(rf"(?<!\d){port}(?!\d)", "\n".join(words_of(launch)))
                if isinstance(launch, Process) and not said:
                    raise Finding(words_of(launch), expected=f"{port} in it", smallest=request)
                if isinstance(launch, Container) and (said or not 0 < launch.port < 65536):
                    expected = "a port inside of the container, whatever was asked for"
                    raise Finding(launch, expected=expected, smallest=request)

    @rule(
        "launcher/model",
        "The model is among the words as it was asked for; of a file its name is, at least.",
        mend="Put request.model into argv as it is: no lower, no strip, no default.",
    )
    def test_launcher_model(self) -> None:
        for request, launch in self._launches():
            is_file = request.model.startswith("/")
            wanted = PurePosixPath(request.model).name if is_file else request.model
            if not any(wanted in word for word in words_of(launch)):
                raise Finding(words_of(launch), expected=f"{wanted} in it", smallest=request)

    @rule(
        "launcher/loopback",
        "A Process is told to listen on this machine alone.",
        mend="Say the host in argv: 127.0.0.1, and never 0.0.0.0 nor ::.",
    )
    def test_launcher_loopback(self) -> None:
        for request, launch in self._launches():
            if isinstance(launch, Process):
                words = words_of(launch)
                if any(map(EVERYWHERE.search, words)) or not any(map(LOOPBACK.search, words)):
                    expected = "127.0.0.1, localhost or ::1, and no address of all networks"
                    raise Finding(words, expected=expected, smallest=request)

    @rule(
        "launcher/secrets",
        "No key and no token is in what others see: the words, the image, the volumes.",
        mend="Leave the key to the runtime; what else is secret goes into environ.",
    )
    def test_launcher_secrets(self) -> None:
        for request, launch in self._launches_with_secrets():
            seen = repr(launch)  # without environ
            if SECRET in seen:
                came = seen.replace(SECRET, "<the secret>")
                raise Finding(came, expected="no secret in it", smallest=request)

    @rule(
        "launcher/options",
        "An option is among the words; None or False takes a default away.",
        mend="Give {**DEFAULTS, **request.options} to options_as_flags, and drop no None before.",
    )
    def test_launcher_options(self) -> None:
        for request, plain in self._launches():
            self._assert_heard(request, {"kit_option": "kit-17", "kit_flag": True})
            for name in flags_of(plain):
                replaced = self._with(request, {name: "kit-17"})
                if replaced and flags_of(replaced).count(name) == 1 and has(replaced, "kit-17"):
                    self._assert_absent(request, name)

    def _assert_heard(self, request: LaunchRequest, options: Mapping[str, Any]) -> None:
        """A name that stands alone is one that is true."""
        launch = self._with(request, options)
        for name, value in options.items():
            if launch and not has(launch, name if value is True else value):
                smallest = attrs.evolve(request, options=options)
                expected = f"{name}, which is {value!r}"
                raise Finding(words_of(launch), expected=expected, smallest=smallest)
            self._assert_absent(request, name)

    def _assert_absent(self, request: LaunchRequest, name: str) -> None:
        for value in (None, False):
            launch = self._with(request, {name: value})
            if launch and name in flags_of(launch):
                smallest = attrs.evolve(request, options={name: value})
                raise Finding(words_of(launch), expected=f"no {name}", smallest=smallest)

    @rule(
        "launcher/ready",
        "What is asked until the server answers are paths, each from a slash on.",
        mend='Name what the server has, such as ready=("/health", "/v1/models"): no URL.',
    )
    def test_launcher_ready(self) -> None:
        for request, launch in self._launches():
            paths: Any = launch.ready
            if not isinstance(paths, tuple) or not paths or not all(map(is_path, paths)):
                expected = "a tuple of paths, such as ('/health',)"
                raise Finding(repr(paths), expected=expected, smallest=request)

    # ---- how it is asked -------------------------------------------------------------------------

    def _launches(self, **changes: Any) -> Iterator[tuple[LaunchRequest, Launch]]:
        """The questions that it does not refuse, and what it says to each."""
        yield from self._asked_of(self.subject().built("launcher"), changes)

    def _launches_with_secrets(self) -> list[tuple[LaunchRequest, Launch]]:
        """The same, of a backend that has a key, where the environment has tokens."""
        subject = self.subject()
        with pytest.MonkeyPatch.context() as environ:
            for name in (subject.info.key.variable, *TOKENS):
                if name:
                    environ.setenv(name, SECRET)
            config = subject.config_at(NOWHERE, api_key=SECRET)
            with Runtime(config, registry=subject.registry) as rt:
                backend = next(each for each in rt.backends() if each.id == self.provider)
                launcher = subject.built("launcher", attrs.evolve(backend, id="secretive"))
            found = list(self._asked_of(launcher, {}))
        subject.registry.forget("secretive")
        return found

    def _asked_of(
        self, launcher: Launcher, changes: Mapping[str, Any]
    ) -> Iterator[tuple[LaunchRequest, Launch]]:
        for request in self.launcher_questions:
            asked = attrs.evolve(request, **changes)
            launch = launched(launcher, asked)
            if launch is not None:
                yield asked, launch

    def _with(self, request: LaunchRequest, options: Mapping[str, Any]) -> Launch | None:
        asked = attrs.evolve(request, options={**request.options, **options})
        return launched(self.subject().built("launcher"), asked)


def launched(launcher: Launcher, request: LaunchRequest) -> Launch | None:
    """What it says is to be run; ``None``: it has no such form."""
    try:
        return launcher.launch(request)
    except NotSupported:
        return None


def assert_data(request: LaunchRequest, launch: object) -> None:
    """A ``Finding`` says what is of another type."""
    wanted = Container if request.container else Process
    if not isinstance(launch, wanted):
        raise Finding(repr(launch), expected=f"a {wanted.__name__}", smallest=request)
    facts = attrs.asdict(launch, recurse=False)
    argv, named = facts["argv"], [*facts["environ"].items(), *facts.get("volumes", {}).items()]
    if not isinstance(argv, tuple) or not all(isinstance(word, str) for word in argv):
        raise Finding(repr(argv), expected="a tuple of texts", smallest=request)
    if not facts.get("image", "".join(argv[:1])):
        raise Finding(repr(launch), expected="an executable, or an image", smallest=request)
    for name, value in named:
        if not isinstance(name, str) or not isinstance(value, str):
            raise Finding(f"{name!r}: {value!r}", expected="texts by name", smallest=request)


def words_of(launch: Launch) -> list[str]:
    """What the server is told: its arguments, and its variables as ``NAME=value``."""
    variables = (f"{name}={value}" for name, value in launch.environ.items())
    return [*map(str, launch.argv), *variables]


def flags_of(launch: Launch) -> list[str]:
    """The names of options and variables, spelt as an option of a request is."""
    named = (word for word in words_of(launch) if word.startswith("-") or "=" in word)
    spelt = [word.partition("=")[0].lstrip("-").replace("-", "_").lower() for word in named]
    return [name for name in spelt if name.isidentifier()]


def has(launch: Launch, text: object) -> bool:
    """Is it the name of an option, or within a word?"""
    return text in flags_of(launch) or any(str(text) in word for word in words_of(launch))


def is_path(text: object) -> bool:
    """Does it lead from the root of a server on, and nowhere else?"""
    return isinstance(text, str) and text.startswith("/") and not text.startswith("//")
