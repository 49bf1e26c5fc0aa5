"""Answers whose vectors are not those of the texts: what is sound is kept, the rest asked once."""

from __future__ import annotations

import base64
import struct
from collections import Counter
from math import inf, nan

import pytest

from multitap.errors import ProtocolError
from multitap.testing import WORLDS, Server, json, repeat, request

PLUGINS = ["openai", "llamaserver", "ollama"]
NUMBERED = ["openai", "llamaserver"]
TEXTS = [str(number) for number in range(6)]


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def ask(request):
    """Embeds ``TEXTS``, answered by ``said(texts)``; the result or error, and what was asked."""

    def ask(plugin, said, texts=TEXTS, **options):
        asked = []

        def answer(connection):
            asked.append(connection.request.json()["input"])
            return said(asked[-1])

        with Server(repeat(request_, answer)) as server:
            config = {"defaults": {"model": f"{plugin}:m"}, plugin: {"endpoint": server.url}}
            with request.param(config) as here:
                try:
                    return here.call("embed", texts, **options), asked
                except ProtocolError as error:
                    return error, asked

    return ask


request_ = request


def vector(text):
    return [float(text), 0.5]


def rows(plugin, vectors):
    """An answer with these vectors, by the index that the server gives them."""
    if plugin == "ollama":
        return json({"embeddings": [row for _, row in vectors]})
    return json({"data": [{"index": index, "embedding": row} for index, row in vectors]})


def sound(texts):
    return [(index, vector(text)) for index, text in enumerate(texts)]


def unsound_at_first(text, bad):
    """A text that is given ``bad`` the first time, and a vector the second."""
    times = Counter()

    def vector_of(each):
        times[each] += 1
        return bad if each == text and times[each] == 1 else vector(each)

    return vector_of


def base64_of(row):
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode()


BAD = {
    "NaN": [nan, 1.0],
    "infinity": [-inf, 1.0],
    "too large": [1e39, 1.0],
    "null inside": [None, 1.0],
    "null": None,
    "empty": [],
    "NaN in base64": base64_of([nan, 1.0]),
}
KINDS = [(p, k) for p in PLUGINS for k in BAD if p != "ollama" or k.startswith(("null", "empty"))]
KINDS.append(("ollama", "too large"))  # bare NaN and base64 never come from its server


@pytest.mark.fault("E10")
@pytest.mark.parametrize(("plugin", "kind"), KINDS)
def test_a_vector_that_is_none_is_asked_for_once_more_alone(ask, plugin, kind):
    vector_of = unsound_at_first("3", BAD[kind])
    found, asked = ask(
        plugin, lambda texts: rows(plugin, [(i, vector_of(t)) for i, t in enumerate(texts)])
    )
    assert [list(row) for row in found.vectors] == [vector(text) for text in TEXTS]
    assert asked == [TEXTS, ["3"]]


@pytest.mark.fault("E10")
@pytest.mark.parametrize("plugin", PLUGINS)
def test_one_that_stays_none_is_an_error_with_its_index_and_the_sound_ones(ask, plugin):
    def said(texts):
        return rows(plugin, [(i, None if t == "3" else vector(t)) for i, t in enumerate(texts)])

    error, asked = ask(plugin, said)
    assert (type(error), error.kind, error.texts) == (
        ProtocolError,
        "embedding_invalid",
        range(3, 4),
    )
    assert str(error).startswith(f"{plugin}: texts[3]: The embedding is not finite.")
    assert {place: list(row) for place, row in error.partial.items()} == {
        place: vector(text) for place, text in enumerate(TEXTS) if text != "3"
    }
    assert len(error.attempts) == len(asked) == 2


@pytest.mark.fault("E10")
@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_text_alone_is_asked_for_once_more_and_then_given_up(ask, plugin):
    error, asked = ask(plugin, lambda texts: rows(plugin, [(0, None)]), ["3"])
    assert (error.kind, error.texts, error.partial) == ("embedding_invalid", range(1), {})
    assert asked == [["3"], ["3"]]


@pytest.mark.fault("E10")
@pytest.mark.parametrize("times", [1, 99])
@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_refusal_that_names_no_text_is_traced_to_it(ask, plugin, times):
    """The server could not write its answer; every text is asked for until the one is alone."""
    alone = []

    def said(texts):
        alone.extend(texts if texts == ["3"] else [])
        if "3" in texts and len(alone) < times:
            message = "failed to encode response: json: unsupported value: NaN"
            return json({"error": message if plugin == "ollama" else {"message": message}}, 500)
        return rows(plugin, sound(texts))

    found, asked = ask(plugin, said)
    assert asked.count(["3"]) == 1
    if times == 1:
        assert [list(row) for row in found.vectors] == [vector(text) for text in TEXTS]
        return
    assert (found.kind, found.status, found.texts) == ("embedding_invalid", 500, range(3, 4))
    assert "3" not in map(str, found.partial)


@pytest.mark.fault("E11")
@pytest.mark.parametrize("plugin", NUMBERED)
def test_of_too_few_the_missing_ones_are_asked_for_once_more(ask, plugin):
    def said(texts):
        kept = sound(texts) if texts != TEXTS else [sound(texts)[place] for place in (0, 1, 5)]
        return rows(plugin, kept)

    found, asked = ask(plugin, said)
    assert [list(row) for row in found.vectors] == [vector(text) for text in TEXTS]
    assert asked == [TEXTS, ["2", "3", "4"]]


@pytest.mark.fault("E11")
@pytest.mark.parametrize("more", [-1, 1])
@pytest.mark.parametrize("plugin", PLUGINS)
def test_where_nothing_says_whose_they_are_all_are_asked_for_once_more(ask, plugin, more):
    def said(texts):
        numbers = len(texts) + (more if len(asked_before) == 0 else 0)
        asked_before.append(texts)
        return rows(plugin, [(None, vector(str(number))) for number in range(numbers)])

    asked_before = []
    found, asked = ask(plugin, said)
    assert [list(row) for row in found.vectors] == [vector(text) for text in TEXTS]
    assert asked == [TEXTS, TEXTS]


@pytest.mark.fault("E11")
@pytest.mark.parametrize("more", [-1, 1])
@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_wrong_number_twice_is_an_error_and_nothing_is_filled_up_or_cut(ask, plugin, more):
    def said(texts):
        return rows(plugin, [(None, vector("1"))] * (len(texts) + more))

    error, asked = ask(plugin, said)
    assert (error.kind, error.partial, len(asked)) == ("embedding_invalid", {}, 2)
    assert f"6 texts gave {6 + more} vectors" in error.message


@pytest.mark.fault("E12")
@pytest.mark.parametrize("plugin", NUMBERED)
def test_vectors_out_of_order_are_sorted_by_their_index(ask, plugin):
    found, asked = ask(plugin, lambda texts: rows(plugin, sound(texts)[::-1]))
    assert [list(row) for row in found.vectors] == [vector(text) for text in TEXTS]
    assert asked == [TEXTS]


@pytest.mark.fault("E12")
@pytest.mark.parametrize("plugin", NUMBERED)
def test_vectors_without_an_index_are_in_the_order_of_the_texts(ask, plugin):
    found, _ = ask(plugin, lambda texts: rows(plugin, [(None, row) for _, row in sound(texts)]))
    assert [list(row) for row in found.vectors] == [vector(text) for text in TEXTS]


ODD = {
    "a gap": ([0, 1, 2, 3, 5, 6], ["4"]),
    "a duplicate": ([0, 1, 1, 3, 4, 5], ["1", "2"]),
    "one that is no text's": ([0, 1, 2, 3, 4, -1], ["5"]),
}


@pytest.mark.fault("E12")
@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("plugin", NUMBERED)
def test_what_the_index_leaves_open_is_asked_for_once_more(ask, plugin, kind):
    places, again = ODD[kind]

    def said(texts):
        if texts != TEXTS:
            return rows(plugin, sound(texts))
        return rows(plugin, [(place, vector(str(place))) for place in places])

    found, asked = ask(plugin, said)
    assert [list(row) for row in found.vectors] == [vector(text) for text in TEXTS]
    assert asked == [TEXTS, again]


@pytest.mark.fault("E13")
@pytest.mark.parametrize("plugin", PLUGINS)
def test_vectors_of_two_widths_are_an_error_at_once(ask, plugin):
    def said(texts):
        return rows(plugin, [*sound(texts)[:-1], (len(texts) - 1, [1.0])])

    error, asked = ask(plugin, said)
    assert (error.kind, error.retryable, len(asked)) == ("embedding_invalid", False, 1)
    assert "Embedding 5 has 1 numbers, the first has 2" in error.message


@pytest.mark.fault("E13")
@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_later_batch_of_another_width_is_an_error_that_names_its_texts(ask, plugin):
    texts = [str(number) for number in range(600)]

    def said(part):
        width = 2 if "0" in part else 3
        return rows(plugin, [(index, [1.0] * width) for index in range(len(part))])

    error, asked = ask(plugin, said, texts)
    assert (error.kind, len(asked), len(error.attempts)) == ("embedding_invalid", 2, 2)
    assert "vectors of 2 and of 3 numbers" in error.message
    assert error.message.startswith("texts[")


@pytest.mark.fault("E13")
@pytest.mark.parametrize("again", [None, "reload", "delete"])
@pytest.mark.parametrize("world", WORLDS, ids=["sync", "async"])
def test_another_width_than_before_is_an_error_until_the_model_may_be_another(world, again):
    widths = iter([2, 3, 3])

    def answer(connection):
        if connection.request.method == "DELETE":
            return json({})
        texts, width = connection.request.json()["input"], next(widths)
        return rows("ollama", [(place, [1.0] * width) for place in range(len(texts))])

    with Server(repeat(request_, answer)) as server:
        config = {"defaults": {"model": "ollama:m"}, "ollama": {"endpoint": server.url}}
        with world(config) as here:
            assert here.call("embed", TEXTS).dimensions == 2
            if again is not None:
                here.rt.reload() if again == "reload" else here.call("delete", "ollama:m")
                assert here.call("embed", TEXTS).dimensions == 3
                return
            with pytest.raises(ProtocolError) as caught:
                here.call("embed", TEXTS)
            assert here.call("embed", TEXTS, model="ollama:other").dimensions == 3
    error = caught.value
    assert (error.kind, error.texts, len(error.attempts)) == ("embedding_invalid", range(6), 1)
    assert "vectors of 2 numbers until now, and gives some of 3" in error.message
