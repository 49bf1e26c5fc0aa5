"""Any number of texts to embed: in batches that the server takes, in order, all or nothing."""

from __future__ import annotations

import asyncio
import inspect
import math
import struct
import threading
import time
from array import array

import letters
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from multitap.capabilities.embedding import EmbeddingRequest, Embeddings, Vectors
from multitap.errors import (
    AuthenticationError,
    BadRequest,
    ConfigError,
    ContextOverflow,
    DeadlineExceeded,
    NotSupported,
    Overloaded,
    PluginError,
    ProtocolError,
)
from multitap.events import Usage
from multitap.hookspecs import hookimpl
from multitap.policy.batches import LEARNED_FOR, MOST_LEARNED, BatchLimits, Widths, fewer_inputs
from multitap.policy.batches import wants_fewer_inputs as wants_fewer
from multitap.runtime import AsyncRuntime
from multitap.runtime.batches import Batches
from multitap.testing import WORLDS, Blocking
from multitap.work import LocalExchange

CEILING = 20.0
CONFIG = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": "http://127.0.0.1:1"}}


class Encoder:
    """Embeds a number as itself; keeps what it was asked, and how much of that at a time."""

    most_texts = None
    takes = 1 << 30
    refusal = "Too many inputs. Max is {takes}"
    longest = 1 << 30
    usage = staticmethod(lambda texts: Usage.reported(len(texts), 0))
    before = staticmethod(lambda texts: None)

    def __init__(self, **facts):
        vars(self).update(facts)
        self.asked = []
        self.running = self.most_running = 0
        self.counting = threading.Lock()

    @hookimpl
    def multitap_embedding(self, backend):
        return self

    def embed(self, request):
        def run(emit):
            with self.counting:
                self.asked.append(request.texts)
                self.running += 1
                self.most_running = max(self.running, self.most_running)
            try:
                self.check(request.texts)
                found = self.found(request.texts)
            finally:
                with self.counting:
                    self.running -= 1
            emit([found])

        return LocalExchange(run)

    def check(self, texts):
        self.before(texts)
        if len(texts) > self.takes:
            raise BadRequest(self.refusal.format(takes=self.takes), status=400)
        if any(len(text) > self.longest for text in texts):
            raise ContextOverflow("An input is too long", limit=self.longest)

    def found(self, texts):
        vectors = Vectors.from_rows([[float(text), 1.0] for text in texts])
        return Embeddings(vectors=vectors, usage=self.usage(texts), model="tiny-1")

    @property
    def sizes(self):
        return [len(texts) for texts in self.asked]


def numbers(count):
    return [str(number) for number in range(count)]


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    """Makes runtimes with this one plugin."""
    made = []

    def make(encoder):
        made.append(request.param(CONFIG, letters.registry(acme=encoder)))
        return made[-1]

    yield make
    for here in made:
        here.close()


def learned_from(here):
    """The limits of a runtime, on a clock that the test moves."""
    now = [100.0]
    here.rt._parts._limits = BatchLimits(lambda: now[0])
    return now


# ---- in batches, and in order --------------------------------------------------------------------


@pytest.mark.parametrize("declared", [None, 2048])
def test_ten_thousand_texts_come_back_in_their_order(world, declared):
    encoder = Encoder(most_texts=declared)
    found = world(encoder).call("embed", numbers(10_000))
    assert list(found.vectors.data[::2]) == [float(n) for n in range(10_000)]
    most = declared or 512
    assert sorted(encoder.sizes) == sorted([most] * (10_000 // most) + [10_000 % most])
    assert (found.usage, found.model) == (Usage.reported(10_000, 0), "tiny-1")
    assert [a.error for a in found.attempts] == [None] * len(encoder.asked)


def test_few_texts_are_one_request(world):
    encoder = Encoder()
    found = world(encoder).call("embed", numbers(3))
    assert (encoder.sizes, len(found.attempts)) == ([3], 1)


def test_two_batches_at_most_are_on_their_way():
    met = threading.Barrier(2)
    encoder = Encoder(most_texts=1, before=lambda texts: met.wait(CEILING))

    async def run():
        async with AsyncRuntime(CONFIG, registry=letters.registry(acme=encoder)) as rt:
            return await rt.embed(numbers(8))

    found = asyncio.run(run())
    assert encoder.most_running == 2
    assert list(found.vectors.data[::2]) == [float(n) for n in range(8)]


def test_in_blocking_code_it_is_one_after_the_other():
    encoder = Encoder(most_texts=1)
    with Blocking(CONFIG, letters.registry(acme=encoder)) as here:
        here.call("embed", numbers(4))
    assert (encoder.most_running, encoder.asked) == (1, [("0",), ("1",), ("2",), ("3",)])


def test_a_count_that_one_batch_does_not_tell_is_unknown(world):
    silent = Encoder(most_texts=2, usage=lambda texts: Usage(input_tokens=2, source="reported"))
    assert world(silent).call("embed", numbers(4)).usage.input_tokens == 4
    silent.usage = lambda texts: Usage() if "0" in texts else Usage.reported(2, 0)
    assert world(silent).call("embed", numbers(4)).usage == Usage()


def test_the_result_is_one_block_and_one_part_is_not_copied():
    one, two = Vectors.from_rows([[1.0, 2.0]]), Vectors.from_rows([[3.0, 4.0], [5.0, 6.0]])
    assert list(Vectors.joined([one, two]).data) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert Vectors.joined([two]) is two
    with pytest.raises(ProtocolError, match="of 1 and of 2 numbers"):
        Vectors.joined([one, Vectors.from_rows([[1.0]])])


@pytest.mark.parametrize(
    "rows",
    [
        [[1.0, 0.5], [2.0, 3.0]],
        np.array([[1.0, 0.5], [2.0, 3.0]], "d"),
        [array("f", [1.0, 0.5]), array("d", [2.0, 3.0])],
        [struct.pack("2f", 1.0, 0.5), (2, 3)],
    ],
)
def test_a_row_may_be_any_sequence_or_the_bytes_of_float32(rows):
    vectors = Vectors.from_rows(rows)
    assert [list(row) for row in vectors] == [[1.0, 0.5], [2.0, 3.0]]
    assert np.asarray(vectors).flags.writeable


@pytest.mark.parametrize("short", [struct.pack("f", 1.0), [1.0], array("f", [1.0])])
def test_rows_of_another_length_are_named(short):
    with pytest.raises(ProtocolError, match="Embedding 1 has 1 numbers, the first has 2"):
        Vectors.from_rows([struct.pack("2f", 1.0, 0.5), short])


@given(st.lists(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=8))
@example([0x7F7FFFFF, 0xFF7FFFFF])  # the largest that are finite
@example([0x7F800000])
@example([0xFF800001])
def test_vectors_are_sound_if_every_number_is_finite(patterns):
    data = struct.pack(f"{len(patterns)}I", *patterns)
    vectors = Vectors(data, 1)
    if all(map(math.isfinite, vectors.data)):
        assert vectors.checked() is vectors
    else:
        with pytest.raises(ProtocolError, match="not finite"):
            vectors.checked()


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_rows_are_kept_as_float32(row):
    assert Vectors.from_rows([row, array("f", row)]).data.tolist() == [*row, *row]


# ---- learned limits ------------------------------------------------------------------------------


def test_a_limit_in_the_message_is_kept_for_an_hour(world):
    encoder = Encoder(takes=96)
    here = world(encoder)
    now = learned_from(here)
    found = here.call("embed", numbers(200))
    assert list(found.vectors.data[::2]) == [float(n) for n in range(200)]
    assert encoder.sizes[0] == 200
    assert sorted(encoder.sizes[1:]) == [8, 96, 96]
    assert [type(a.error) for a in found.attempts].count(BadRequest) == 1
    encoder.asked.clear()
    now[0] += LEARNED_FOR - 1
    here.call("embed", numbers(200))
    assert sorted(encoder.sizes) == [8, 96, 96]
    encoder.asked.clear()
    now[0] += 1
    here.call("embed", numbers(200))
    assert encoder.sizes[0] == 200


def test_without_a_number_it_is_half_as_many_until_they_are_taken(world):
    encoder = Encoder(takes=30, refusal="Too many inputs in request")
    found = world(encoder).call("embed", numbers(200))
    assert encoder.sizes[:4] == [200, 100, 50, 25]
    assert max(encoder.sizes[3:]) == 25
    assert list(found.vectors.data[::2]) == [float(n) for n in range(200)]


@given(
    count=st.integers(1, 1300),
    takes=st.integers(1, 700),
    refusal=st.sampled_from(["at most {} inputs", "array too long", "413"]),
)
def test_every_limit_is_found_and_nothing_is_lost(count, takes, refusal):
    request = EmbeddingRequest(model="tiny", texts=tuple(numbers(count)))
    batches = Batches(request, None, BatchLimits(), "acme")
    refused = 0
    for part in batches:
        texts = request.texts[part.start : part.stop]
        if len(texts) > takes:
            refused += 1
            batches.failed(part, BadRequest(refusal.format(takes), status=413))
        else:
            batches.done(part, Encoder().found(texts), ())
    assert list(batches.joined().vectors.data[::2]) == [float(n) for n in range(count)]
    assert refused <= 10


def test_one_model_teaches_nothing_about_another():
    limits = BatchLimits(lambda: 0.0)
    limits.learn("acme", "one", 7)
    assert (limits.most("acme", "one", 512), limits.most("acme", "two", 512)) == (7, 512)
    assert limits.most("acme", "one", 5) == 5


def test_what_is_learned_is_bounded_and_the_oldest_goes():
    limits = BatchLimits(lambda: 0.0)
    for number in range(MOST_LEARNED + 1):
        limits.learn("acme", str(number), 7)
    known = [limits.most("acme", str(number), 512) for number in range(MOST_LEARNED + 1)]
    assert known == [512] + [7] * MOST_LEARNED


def test_what_is_learned_holds_for_an_hour_and_again_after_the_next_refusal():
    now = [50.0]
    limits = BatchLimits(lambda: now[0])
    assert limits.most("acme", "one", 512) == 512
    limits.learn("acme", "one", 7)
    now[0] += 3599.0
    assert limits.most("acme", "one", 512) == 7
    now[0] += 1.0
    assert limits.most("acme", "one", 512) == 512
    limits.learn("acme", "one", 9)
    assert limits.most("acme", "one", 512) == 9


def test_what_is_learned_again_is_no_longer_the_oldest():
    limits = BatchLimits(lambda: 0.0)
    for name in ("again", "oldest", *map(str, range(MOST_LEARNED - 2)), "again", "new"):
        limits.learn("acme", name, 7)
    assert [limits.most("acme", name, 512) for name in ("again", "oldest")] == [7, 512]


def test_the_clock_of_limits_is_the_real_one():
    assert inspect.signature(BatchLimits).parameters["clock"].default is time.monotonic


SAID = {
    "Invalid 'input': array too long. Expected an array with maximum length 2048, but got an array"
    " with length 3000 instead.": 2048,
    "batch size 4000 > maximum allowed batch size 32": 32,
    "invalid request: total number of texts must be at most 96 - received 4000": 96,
    "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch": 100,
    "Too many inputs in request. Max is 128": 128,
    "<400> Value error, batch size is invalid, it should not be larger than 10.": 10,
    "The batch size limit is 1000. Your batch size is 4000.": 1000,
    "expected maxItems: 96, found 4000": 96,
    "Too many tokens overall, split into more batches.": 2000,
    "Requested 400000 tokens, max 3000 tokens per request": 2000,
    "The max allowed tokens per submitted batch is 120000.": 2000,
}


@pytest.mark.parametrize("message", SAID)
def test_what_servers_say_of_too_many(message):
    error = BadRequest(message)
    assert (wants_fewer(error), fewer_inputs(error, 4000)) == (True, SAID[message])


@pytest.mark.parametrize(
    "error",
    [
        BadRequest("Model 'tiny' does not support dimensions 16"),
        BadRequest("input must be a string or an array"),
        Overloaded("Too many requests in the batch queue"),
    ],
)
def test_other_refusals_are_not_asked_again(error):
    assert not wants_fewer(error)


@pytest.mark.parametrize(
    "error", [BadRequest("no", status=413), ProtocolError("too long", kind="limit_exceeded")]
)
def test_a_request_or_reply_that_is_too_large_is_halved(error):
    assert (wants_fewer(error), fewer_inputs(error, 9)) == (True, 4)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("at most 0 inputs", 50),
        ("at most 100 inputs", 50),
        ("at most 99 inputs", 99),
        ("at most 1 inputs", 1),
        ("at most 999999999 inputs", 50),
        ("at most 40 inputs, up to 60 in a batch", 60),
        (f"at most {'9' * 5000} inputs", 50),
    ],
)
def test_only_a_number_below_what_was_refused_is_a_limit(message, expected):
    assert fewer_inputs(BadRequest(message), 100) == expected


# ---- what fails ----------------------------------------------------------------------------------


def failure(here, *asked, **options):
    with pytest.raises((Exception,)) as caught:
        here.call("embed", *asked, **options)
    return caught.value


@pytest.mark.parametrize("place", [0, 1, 37, 99])
def test_a_text_that_is_too_long_is_named(world, place):
    encoder = Encoder(longest=5)
    texts = numbers(100)
    texts[place] = "1234567"
    here = world(encoder)
    error = failure(here, texts)
    assert isinstance(error, ContextOverflow)
    assert (error.texts, error.limit) == (range(place, place + 1), 5)
    assert str(error).startswith(f"acme: texts[{place}]: An input is too long.")
    refused = [attempt for attempt in error.attempts if attempt.error is not None]
    assert [len(attempt.error.texts) for attempt in refused][-1] == 1
    halvings = 7
    assert len(encoder.asked) <= 1 + halvings * (1 if isinstance(here, Blocking) else 2)


def test_texts_that_are_too_long_together_are_sent_apart(world):
    def full(texts):
        if sum(map(len, texts)) > 100:
            raise ContextOverflow("The inputs are too long")

    encoder = Encoder(before=full)
    found = world(encoder).call("embed", numbers(100))
    assert list(found.vectors.data[::2]) == [float(n) for n in range(100)]


def test_one_text_alone_is_named_without_a_search(world):
    encoder = Encoder(longest=1)
    error = failure(world(encoder), "12")
    assert (error.texts, error.message, len(encoder.asked)) == (
        range(1),
        "An input is too long",
        1,
    )


def test_a_batch_that_fails_names_its_texts_and_ends_the_call(world):
    def refuse(texts):
        if "700" in texts:
            raise AuthenticationError("The key has expired")

    error = failure(world(Encoder(before=refuse)), numbers(1500))
    assert isinstance(error, AuthenticationError)
    assert (error.texts, error.partial) == (range(512, 1024), None)
    assert str(error).startswith("acme: texts[512:1024]: The key has expired")
    assert error.attempts[-1].error is error


def test_the_attempts_of_all_batches_are_told(world):
    def refuse(texts):
        if "5" in texts:
            raise BadRequest("No such words")

    error = failure(world(Encoder(most_texts=1, before=refuse)), numbers(6))
    assert [attempt.error for attempt in error.attempts].count(None) >= 4
    assert error.attempts[-1].error is error


def test_a_fault_of_the_plugin_names_the_texts_too(world):
    error = failure(world(Encoder(most_texts=2)), ["1", "2", "x", "3"])
    assert isinstance(error, PluginError)
    assert error.message.startswith("texts[2:4]: The plugin of 'acme' failed")


def test_the_other_batch_is_left_when_one_fails():
    left, gone = threading.Event(), []

    def refuse(texts):
        if "0" in texts:
            raise BadRequest("No such words")
        left.wait(CEILING)

    encoder = Encoder(most_texts=1, before=refuse)

    async def run():
        async with AsyncRuntime(CONFIG, registry=letters.registry(acme=encoder)) as rt:
            with pytest.raises(BadRequest):
                await rt.embed(numbers(8))
            gone.append(asyncio.all_tasks() - {asyncio.current_task()})
            left.set()

    asyncio.run(run())
    assert (gone, len(encoder.asked) <= 2) == ([set()], True)


def test_all_batches_have_one_deadline(world):
    asleep = threading.Event()
    encoder = Encoder(most_texts=1, before=lambda texts: asleep.wait(0.05))
    error = failure(world(encoder), numbers(1000), timeout=0.3)
    assert isinstance(error, DeadlineExceeded)
    assert len(encoder.asked) < 20


@pytest.mark.parametrize(
    ("texts", "said"),
    [([], "There are no texts"), (["a", ""], "Number 1 of the texts is ''"), ("", "Number 0")],
)
def test_no_text_and_an_empty_one_are_refused_before_any_request(world, texts, said):
    encoder = Encoder()
    error = failure(world(encoder), texts)
    assert isinstance(error, ConfigError)
    assert said in str(error)
    assert encoder.asked == []


def test_another_width_than_was_asked_for_says_both(world):
    error = failure(world(Encoder()), numbers(2), dimensions=8)
    assert isinstance(error, NotSupported)
    assert (error.backend, error.kind) == ("acme", "dimensions_unsupported")
    assert "2 dimensions, not 8. Leave dimensions out" in str(error)


def test_a_vector_too_few_is_no_answer(world):
    encoder = Encoder(most_texts=2)
    encoder.found = lambda texts: Embeddings(vectors=Vectors.from_rows([[1.0]]))
    error = failure(world(encoder), numbers(3))
    assert isinstance(error, ProtocolError)
    assert str(error).startswith("acme: texts[0:2]: The backend gave 1 vectors for 2 texts")


def test_a_backend_that_does_not_embed_says_who_can(world):
    class Mute:
        @hookimpl
        def multitap_catalog(self, backend): ...

    error = failure(world(Mute()), "1")
    assert isinstance(error, NotSupported)
    assert "multitap capabilities" in str(error)


# ---- what a model's vectors are like -------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "normalized"), [([0.6, 0.8], True), ([0.6, 0.801], True), ([0.6, 0.803], False)]
)
def test_dimensions_and_length(row, normalized):
    found = Embeddings(vectors=Vectors.from_rows([[1.0, 0.0], row]))
    assert (found.dimensions, found.normalized) == (2, normalized)


def test_widths_are_known_by_model_and_by_what_was_asked_of_the_last_ones():
    widths = Widths()
    for model, asked, width in (("a", None, 3), ("b", None, 4), ("a", 2, 2), ("a", None, 3)):
        widths.check("acme", model, asked, width)
    with pytest.raises(ProtocolError, match="vectors of 4 numbers until now"):
        widths.check("acme", "b", None, 3)
    widths.forget("other")
    with pytest.raises(ProtocolError):
        widths.check("acme", "b", None, 3)
    for number in range(256):
        widths.check("acme", str(number), None, 9)
    widths.check("acme", "b", None, 3)
