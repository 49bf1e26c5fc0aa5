"""Pictures: shown to a model, and made by one."""

from __future__ import annotations

import base64

import pytest
from matrix_lines import has, lacks
from matrix_media import PICTURES, PNG, WORDS, received
from matrix_wires import Case, ask, events, kinds, said

from multitap.errors import NotSupported
from multitap.events import ImageData, Stop, Text
from multitap.messages import Image

CODED = base64.b64encode(PNG).decode()
SHOWN = [WORDS, Image(PNG, "image/png")]
PLACE = "https://box.example/a.png"


def part(url):
    return {"type": "image_url", "image_url": {"url": url}}


def turn(url):
    return {"role": "user", "content": [{"type": "text", "text": WORDS}, part(url)]}


BY_URL = ("llamaserver", "openai", "tgi", "vllm")


def seen_in(plugin, turn):
    """The type, if that is said, and the bytes of the picture in a message that was sent."""
    if plugin == "ollama":
        (data,) = turn["images"]
        assert turn == {"role": "user", "content": WORDS, "images": [data]}
        return None, base64.b64decode(data, validate=True)
    text, picture = turn["content"]
    assert text == {"type": "text", "text": WORDS}
    assert picture == part(picture["image_url"]["url"])
    return received(picture["image_url"]["url"])


@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
@pytest.mark.parametrize("kind", PICTURES)
@has("image input")
def test_a_picture_arrives_byte_by_byte_in_the_servers_form(world, plugin, kind, named):
    raw = None if plugin == "echo" else said(plugin, "A", " red dot.")
    data = PICTURES[kind]
    seen = ask(world, plugin, Case([WORDS, Image(data, kind if named else None)], raw=raw))
    assert seen.answer.warnings == ()
    if seen.sent is None:
        assert [picture.data for picture in seen.answer.images] == [data]
        return
    (sent,) = seen.sent["messages"]
    assert seen_in(plugin, sent) == (None if plugin == "ollama" else kind, data)
    assert seen.answer.text == "A red dot."


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_arrives_in_a_response_too(world, kind):
    case = Case([WORDS, Image(PICTURES[kind], kind)], section={"api": "responses"}, raw=drawn())
    (sent,) = ask(world, "openai", case).sent["input"]
    text, picture = sent["content"]
    assert text == {"type": "input_text", "text": WORDS}
    assert picture["type"] == "input_image"
    assert received(picture["image_url"]) == (kind, PICTURES[kind])


@has("image input")
def test_a_picture_that_is_a_url_is_sent_as_one_or_refused(world, plugin):
    raw = None if plugin == "echo" else said(plugin, "A", " red dot.")
    case = Case([WORDS, Image(url=PLACE)], raw=raw)
    if plugin in BY_URL:
        assert ask(world, plugin, case).sent["messages"] == [turn(PLACE)]
        return
    with pytest.raises(NotSupported, match=r"image|picture") as caught:
        ask(world, plugin, case)
    assert caught.value.backend == plugin


@lacks("image input")
def test_a_picture_that_no_model_can_see_is_refused(world, plugin):
    with pytest.raises(NotSupported, match="image") as caught:
        ask(world, plugin, Case(SHOWN))
    assert (caught.value.backend, bool(caught.value.hint)) == (plugin, True)


# ---- made ----------------------------------------------------------------------------------------

DRAWS = {"type": "image_generation"}


def drawn():
    """What a response says that has text and a picture in it."""
    item = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": CODED}
    done = {"status": "completed", "usage": {"input_tokens": 9, "output_tokens": 4}}
    return events(
        {"type": "response.output_text.delta", "output_index": 0, "delta": "A dot:"},
        {"type": "response.output_item.done", "output_index": 1, "item": item},
        {"type": "response.completed", "response": done},
        done="",
    )


MADE = {
    "echo": Case(["A dot:", Image(PNG, "image/png")]),
    "openai": Case(
        "Draw a dot.", {"extra": {"extra_body": {"tools": [DRAWS]}}}, {"api": "responses"}, drawn()
    ),
}


@has("image output")
def test_a_picture_of_an_answer_is_an_event_and_stays_in_the_history(world, plugin):
    seen = ask(world, plugin, MADE[plugin])
    assert kinds(seen) == ["text", "image_data", "usage", "stop"]
    assert [e for e in seen.events if e.type in ("text", "image_data", "stop")] == [
        Text("A dot:"), ImageData(PNG, "image/png"), Stop("complete")
    ]  # fmt: skip
    assert seen.answer.images == (ImageData(PNG, "image/png"),)
    assert Image(PNG, "image/png") in seen.answer.message.parts
    if seen.sent is not None:
        assert seen.sent["tools"] == [DRAWS]


@lacks("image output")
def test_pictures_are_not_offered_and_it_is_said_who_offers_them(world, plugin):
    section = {} if plugin == "llamacpp" else {"endpoint": "http://127.0.0.1:9"}
    here = world({plugin: section})
    offered = {(row.capability, row.provider) for row in here.rt.capabilities()}
    assert ("image", plugin) not in offered
    with pytest.raises(NotSupported, match=f"{plugin}.*image|image.*{plugin}") as caught:
        here.call("draw", "a cat", model=f"{plugin}:tiny")
    assert (caught.value.backend, "echo" in str(caught.value.hint)) == (plugin, True)
