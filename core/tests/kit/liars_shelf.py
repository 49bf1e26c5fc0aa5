"""For each rule about models and servers a plugin that breaks it, and is honest otherwise."""

from __future__ import annotations

import attrs
from liars_any import liars, of
from multitap_acme.shelf import AcmeCatalog, AcmeLifecycle, AcmeProvider
from multitap_acme.starting import AcmeLauncher

from multitap.capabilities.catalog import Model
from multitap.capabilities.lifecycle import Progress
from multitap.capabilities.provider import Validation
from multitap.errors import BadRequest, ModelNotFound
from multitap.work import HttpCall

# ---- catalog -------------------------------------------------------------------------------------


class FromTheEnd(AcmeCatalog):
    def listed(self, shelf):
        return super().listed(shelf)[::-1]


class ListsTheNameless(AcmeCatalog):
    def has_a_name(self, entry):
        return entry.name is not None


class HasTuples(AcmeCatalog):
    def model(self, entry):
        found = super().model(entry)
        return found if entry.maker else attrs.evolve(found, meta={"made": (1, 2)})


class ZeroForUnknown(AcmeCatalog):
    def room(self, entry):
        return entry.room or 0


class DescribesMore(AcmeCatalog):
    def described(self, entry):
        found = super().described(entry)
        more = found[0].context_length and found[0].context_length + 1
        return [attrs.evolve(found[0], context_length=more)]


class MissingIsBad(AcmeCatalog):
    def fault(self, text, reply):
        error = super().fault(text, reply)
        return BadRequest(text, status=404) if isinstance(error, ModelNotFound) else error


class EmptyIsMissing(AcmeCatalog):
    def listed(self, shelf):
        if not shelf.models:
            raise ModelNotFound("There are no models")
        return super().listed(shelf)


class NamesTheBackend(AcmeCatalog):
    def model(self, entry):
        return attrs.evolve(super().model(entry), backend="acme")


# ---- lifecycle -----------------------------------------------------------------------------------


class OwnWords(AcmeLifecycle):
    def status(self, doing):
        return doing.upper()


class Unfinished(AcmeLifecycle):
    def copy(self, source, destination, /):
        raise NotImplementedError("later")


class CountsDown(AcmeLifecycle):
    def done(self, done, of):
        return of - done if of is not None else done


class OnlyOnce(AcmeLifecycle):
    """Where there is a server, what was unloaded is not unloaded again."""

    unloaded = False

    def unload(self, model, /):
        if self.unloaded and not self.backend.endpoint.endswith(":9"):
            raise BadRequest(f"{model} is not loaded")
        self.unloaded = True
        return super().unload(model)


class CountsNothing(AcmeLifecycle):
    def number(self, place, slot):
        return 0


# ---- provider ------------------------------------------------------------------------------------


class CountsOneMore(AcmeProvider):
    def read(self, model, hello):
        return [attrs.evolve(v, models=(v.models or 0) + 1) for v in super().read(model, hello)]


class AllAreAcme(AcmeProvider):
    def name(self, hello):
        return super().name(hello) if hello.acme else None


class AnyModel(AcmeProvider):
    def query(self, model):
        return ""


class TellsTheKey(AcmeProvider):
    def read(self, model, hello):
        auth = self.backend.auth
        headers = auth(HttpCall(method="GET", path="/hello"), b"") if auth else {}
        account = next(iter(headers.values()), None)
        return [attrs.evolve(found, account=account) for found in super().read(model, hello)]


# ---- launcher ------------------------------------------------------------------------------------


class CountsItsWords(AcmeLauncher):
    def words(self, *args):
        words = super().words(*args)
        return [*words, "--words", len(words)]


class AlwaysTheSamePort(AcmeLauncher):
    def port(self, request):
        return 4711


class WritesSmall(AcmeLauncher):
    def model(self, request):
        return super().model(request).lower()


class OpenToAll(AcmeLauncher):
    host = "0.0.0.0"


class ShowsTheKey(AcmeLauncher):
    def words(self, *args):
        auth = self.backend.auth
        headers = auth(HttpCall(method="GET", path="/hello"), b"") if auth else {}
        return [*super().words(*args), *(f"--key={key}" for key in headers.values())]


class KeepsItsDefaults(AcmeLauncher):
    def options(self, options):
        return super().options({name: each for name, each in options.items() if each is not None})


class AsksAUrl(AcmeLauncher):
    ready = ("http://127.0.0.1:4711/hello",)


LIARS = {
    **liars("catalog", Model(id="guess")),
    **of(
        "catalog",
        answer=FromTheEnd,
        ids=ListsTheNameless,
        json=HasTuples,
        unknown=ZeroForUnknown,
        describe=DescribesMore,
        missing=MissingIsBad,
        empty=EmptyIsMissing,
        backend=NamesTheBackend,
    ),
    **liars("lifecycle", Progress(status="ready")),
    **of(
        "lifecycle",
        answer=OwnWords,
        verbs=Unfinished,
        progress=CountsDown,
        unload=OnlyOnce,
        slots=CountsNothing,
    ),
    **liars("provider", Validation(server="Acme")),
    **of(
        "provider",
        answer=CountsOneMore,
        stranger=AllAreAcme,
        model=AnyModel,
        keys=TellsTheKey,
    ),
    **of(
        "launcher",
        data=CountsItsWords,
        port=AlwaysTheSamePort,
        model=WritesSmall,
        loopback=OpenToAll,
        secrets=ShowsTheKey,
        options=KeepsItsDefaults,
        ready=AsksAUrl,
    ),
}
