"""The rules of a provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from multitap.capabilities.provider import Validation
from multitap.errors import ModelNotFound, MultitapError
from multitap.testing.answers import respond
from multitap.testing.connection import Connection
from multitap.testing.finding import Finding
from multitap.testing.kit.playing import Answer, Said, recorded
from multitap.testing.kit.rule import rule
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.unknown import UNKNOWN, unknown
from multitap.testing.kit.vector import Ask, Vector
from multitap.testing.kit.wire import Kind, answer_rules, question_of, shown
from multitap.testing.server import Server
from multitap.testing.steps import Script, repeat, request
from multitap.testing.worlds import Blocking

__all__ = ("ProviderSuite",)

KEY = "sk-kit-6f1c2d9a47b84c0e"
STRANGERS = (
    (200, b""),
    (200, b"OK"),
    (200, b"{}"),
    (200, b"[]"),
    (200, b"null"),
    (200, b'{"status": "ok"}'),
    (200, b"<html><title>It works!</title></html>"),
    (204, b""),
    (404, b""),
    (404, b"<html><title>Not Found</title></html>"),
)
"""What a server of another kind says to every request."""


def facts_of_validation(items: Sequence[Any]) -> Mapping[str, Any]:
    """What is known."""
    facts: Mapping[str, Any] = items[-1].to_dict()
    return facts


KIND = Kind(capability="provider", results=(Validation,), facts=facts_of_validation)


@answer_rules(KIND)
class ProviderSuite(Suite):
    """What a plugin that proves endpoint and key promises.

    Attributes:
        provider_questions: What one that works in this process is asked.
    """

    capability: ClassVar[str] = "provider"
    provider_questions: ClassVar[Sequence[Ask]] = (Ask(verb="validate", args=()),)

    def describe_provider(self, provider: Any) -> Any:
        """The work of a plain question."""
        return provider.validate(None)

    @rule(
        "provider/stranger",
        "A server that says nothing of itself is never a success.",
        mend="Ask for what only this server has, and fail where it is missing from the answer.",
        vectors="answers",
        wire=True,
    )
    def test_provider_stranger(self, vector: Vector) -> None:
        question = question_of(self, vector)
        for status, body in STRANGERS:
            played = question.play(_always(Said.of(status, body)))
            if played.failure is None:
                smallest = f"{vector}, where all is answered with {status} {body!r}"
                raise Finding(played.outputs, expected="a typed refusal", smallest=smallest)

    @rule(
        "provider/model",
        "A model that is named and not there is ModelNotFound.",
        mend="Look for the name in the list of models, or ask the server for it.",
        vectors="answers",
        wire=True,
    )
    def test_provider_model(self, vector: Vector) -> None:
        played = question_of(self, vector, model=UNKNOWN).play(unknown(recorded(vector)))
        if not isinstance(played.failure, ModelNotFound):
            came = shown(played.failure) if played.failure else played.outputs
            smallest = f"{vector}, with model={UNKNOWN!r}"
            raise Finding(came, expected="ModelNotFound", smallest=smallest)

    @rule(
        "provider/keys",
        "The key is in nothing that is said: no result, no error.",
        mend="Leave the key to the runtime, which puts it into each request; never read it.",
        vectors="answers",
        wire=True,
    )
    def test_provider_keys(self, vector: Vector) -> None:
        with self.answering(Blocking, vector) as (_, server):
            said = [self._validated(server)]
        with Server(repeat(request, _echoed)) as server:
            said.append(self._validated(server))
        for text in said:
            if KEY in text:
                raise Finding(text.replace(KEY, "<the key>"), expected="no key in it")

    def _validated(self, server: Server) -> str:
        """All that is to be read of what came."""
        with self.asking(Blocking, server, api_key=KEY) as here:
            try:
                found: Validation = here.call("validate", self.provider)
            except MultitapError as error:
                return f"{error} {error!r} {vars(error)}"
        return f"{found} {found.to_dict()}"


def _always(said: Said) -> Answer:
    return lambda call: said


def _echoed(connection: Connection) -> Script:
    """Refuse with all that was sent."""
    return respond(401, body=connection.request.raw)
