"""The rules of images."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs

from multitap.capabilities.image import ImageRequest
from multitap.errors import BackendError, ProtocolError
from multitap.events import ImageData, UsageReport
from multitap.signatures import type_of
from multitap.testing.finding import Finding
from multitap.testing.kit.rule import rule
from multitap.testing.kit.sent import assert_option_is_heard, assert_sends
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.vector import Ask, Vector
from multitap.testing.kit.wire import Kind, answer_rules, answered, replayed, shown
from multitap.testing.worlds import Blocking

__all__ = ("ImageSuite",)

PROMPT = 'A "cat" — 東京\n'
OPTIONS: Mapping[str, Any] = {"n": 3, "size": "320x240", "quality": "kit"}


def facts_of_pictures(items: Sequence[Any]) -> Mapping[str, Any]:
    """How many pictures, and the SHA-256 and type of each."""
    pictures = [item for item in items if isinstance(item, ImageData)]
    return {
        "count": len(pictures),
        "sha256": [hashlib.sha256(picture.data).hexdigest() for picture in pictures],
        "mime_types": [picture.mime_type for picture in pictures],
    }


KIND = Kind(
    capability="image",
    results=(ImageData, UsageReport),
    facts=facts_of_pictures,
    own=frozenset({"mime_types"}),
)


@answer_rules(KIND)
class ImageSuite(Suite):
    """What a plugin that draws promises.

    Attributes:
        image_questions: What one that works in this process is asked.
    """

    capability: ClassVar[str] = "image"
    image_questions: ClassVar[Sequence[Ask]] = (
        Ask(verb="draw", args=("a cat",)),
        Ask(verb="draw", args=("a cat",), options={"n": 2, "size": "32x16"}),
    )

    def describe_image(self, model: Any) -> Any:
        """The work of a plain question."""
        return model.draw(ImageRequest(model="model", prompt="a cat"))

    @rule(
        "image/count",
        "There are as many pictures as were asked for; fewer are a ProtocolError.",
        mend="Give one ImageData for each; the runtime counts them.",
        vectors="answers",
    )
    def test_image_count(self, vector: Vector) -> None:
        wanted = vector.ask.options.get("n", 1)
        count = facts_of_pictures(answered(self, vector))["count"]
        if count != wanted:
            raise Finding(count, expected=f"{wanted} pictures", smallest=vector)
        if not self.subject().in_process:
            self._is_counted(vector, wanted + 1)

    @rule(
        "image/types",
        "The type that is said is that of the bytes.",
        mend="Take it from the bytes (multitap.signatures.type_of), not from what was asked for.",
        vectors="answers",
    )
    def test_image_types(self, vector: Vector) -> None:
        for item in answered(self, vector):
            if isinstance(item, ImageData) and item.mime_type != type_of(item.data):
                expected = type_of(item.data) or "a picture"
                raise Finding(item.mime_type, expected=expected, smallest=vector)

    @rule(
        "image/texts",
        "The prompt is sent as it is.",
        mend="Put it into the body as it is: no strip, no cut.",
        vectors="answers",
        wire=True,
    )
    def test_image_texts(self, vector: Vector) -> None:
        ask = attrs.evolve(vector.ask, args=(PROMPT,))
        played = replayed(self, attrs.evolve(vector, ask=ask))
        assert_sends(self, played, [PROMPT], f"draw({PROMPT!r})")

    @rule(
        "image/options",
        "n, size and quality are sent, or refused.",
        mend="Send it, or raise NotSupported.",
        vectors="answers",
        wire=True,
    )
    def test_image_options(self, vector: Vector) -> None:
        for name, value in OPTIONS.items():
            assert_option_is_heard(self, vector, name, value)

    def _is_counted(self, vector: Vector, n: int) -> None:
        smallest = f"{vector}, asked for {n}"
        with self.answering(Blocking, vector) as (here, _):
            try:
                found = here.call("draw", *vector.ask.args, **{**vector.ask.options, "n": n})
            except ProtocolError:
                return
            except BackendError as error:
                raise Finding(shown(error), expected="ProtocolError", smallest=smallest) from error
        raise Finding(found, expected="ProtocolError", smallest=smallest)
