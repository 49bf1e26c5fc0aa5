"""What the rules of a launcher find beside their liars, and what they put up with."""

from __future__ import annotations

import attrs
import pytest
from honest_rest import suite_of
from multitap_acme.starting import AcmeLauncher

from multitap.capabilities.launcher import Process
from multitap.errors import NotSupported
from multitap.testing.kit import Broken, rules_of


def saying(**facts):
    """A launcher of processes that are a little different."""

    class Launcher(AcmeLauncher):
        def process(self, request):
            return attrs.evolve(super().process(request), **facts)

    return Launcher


class Nothing(AcmeLauncher):
    def launch(self, request, /):
        raise NotSupported("Buy a newer Acme")


class AProgramAlone(AcmeLauncher):
    def container(self, request):
        raise NotSupported("There is no image")


class Variables(AcmeLauncher):
    """It is told by its environment, and takes no option of a name that it does not know."""

    def process(self, request):
        if request.options:
            raise NotSupported("There are no options")
        address = f"{self.host}:{request.port}"
        environ = {"ACME_HOST": address, "ACME_MODEL": request.model}
        return Process(argv=("acmed", "serve"), install="Buy an Acme.", environ=environ)


class TheSameInside(AcmeLauncher):
    def container(self, request):
        return attrs.evolve(
            super().container(request), port=request.port, argv=(str(request.port),)
        )


class ForgetsTheFile(AcmeLauncher):
    def model(self, request):
        return "default.gguf" if request.model.endswith(".gguf") else request.model


class HasNoOptions(AcmeLauncher):
    def options(self, options):
        return {}


class WritesNone(AcmeLauncher):
    def words(self, request, *args):
        return [*super().words(request, *args), *(f"--{n}={o}" for n, o in request.options.items())]


class ByChance(AcmeLauncher):
    started = 0

    def words(self, *args):
        self.started += 1
        return [*super().words(*args), f"--run={self.started}"]


class ListensSomewhere(AcmeLauncher):
    def words(self, request, model, host, port):
        return super().words(request, model, "", port)


class OnAllNetworks(AcmeLauncher):
    host = "[::]"


FOUND = {
    "data": [
        Nothing,
        ByChance,
        saying(argv=()),
        saying(argv=["acmed"]),
        saying(environ={"ACME_GUESTS": 4}),
    ],
    "port": [TheSameInside],
    "model": [ForgetsTheFile],
    "loopback": [ListensSomewhere, OnAllNetworks],
    "options": [HasNoOptions, WritesNone],
    "ready": [saying(ready=()), saying(ready="/hello"), saying(ready=("//hello",))],
}
CASES = [(name, lying) for name, all_ in FOUND.items() for lying in all_]


def checks_of(launcher):
    """The checks of its own rules, by name."""
    suite = suite_of("launcher", launcher)
    known = [rule.id for rule in rules_of(suite) if rule.id.startswith("launcher/")]
    return {id_: getattr(suite(), f"test_{id_.replace('/', '_')}") for id_ in known}


@pytest.mark.parametrize(("name", "lying"), CASES)
def test_it_is_found(name, lying):
    with pytest.raises(Broken) as caught:
        checks_of(lying)[f"launcher/{name}"]()
    assert caught.value.rule.id == f"launcher/{name}"
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("launcher", [AcmeLauncher, AProgramAlone, Variables])
def test_it_is_put_up_with(launcher):
    for check in checks_of(launcher).values():
        check()


def test_what_is_secret_is_not_told_either():
    class Shows(AcmeLauncher):
        def words(self, *args):
            auth = self.backend.auth
            return [*super().words(*args), str(auth and auth(None, b""))]

    with pytest.raises(Broken) as caught:
        checks_of(Shows)["launcher/secrets"]()
    assert "the-secret-of-the-kit" not in str(caught.value)
    assert "<the secret>" in str(caught.value)
