"""For each rule of every plugin one that breaks it, and is honest otherwise."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

from honest import VECTORS, Hooks, answered, changed, chat_suite
from multitap_acme.chat import AcmeChat, Reader

from multitap.hookspecs import hookimpl
from multitap.testing.kit import Ask


class HasMore(Hooks):
    """Embeds as well, and has no suite for it."""

    @hookimpl
    def multitap_embedding(self, backend):
        return Embeds()


class Embeds:
    def embed(self, request):
        return None


EMBEDDED = answered("embedded", Ask("embed", (["hi"],)), {}, {"vectors": [[1.0]]})


class ReadsAFile(AcmeChat):
    def __init__(self, backend):
        super().__init__(backend)
        self.words = Path(__file__).read_text("utf-8")


class PhonesHome(Reader):
    def text(self, word):
        if word == "clock":
            with suppress(OSError):
                socket.create_connection(("telemetry.acme.example", 443))
        return super().text(word)


class Telling(AcmeChat):
    reader = PhonesHome


class OneForAll(Hooks):
    """What was made for the first backend is given to all."""

    made = None

    @hookimpl
    def multitap_chat(self, backend):
        self.made = self.made or AcmeChat(backend)
        return self.made


LIARS = {
    "plugin/manifest": chat_suite(info=changed(endpoint="http://127.0.0.1:4711/")),
    "plugin/suites": chat_suite(
        hooks=HasMore(chat=AcmeChat, embedding=None), vectors=(*VECTORS, EMBEDDED)
    ),
    "plugin/vectors": chat_suite(vectors=[v for v in VECTORS if v.kind != "streams"]),
    "plugin/deviations": chat_suite(deviations={"chat/cutz": "It is long known"}),
    "plugin/lazy": chat_suite(distribution="multitap-hasty"),
    "plugin/loopback": chat_suite(Telling),
    "plugin/idle": chat_suite(ReadsAFile),
    "plugin/two_backends": chat_suite(hooks=OneForAll(chat=AcmeChat)),
}
