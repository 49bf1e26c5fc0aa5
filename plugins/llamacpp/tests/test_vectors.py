import math

import pytest

from multitap.capabilities.embedding import EmbeddingRequest
from multitap.errors import BadRequest, ContextOverflow, NotSupported
from multitap_llamacpp.embedding import multitap_embedding


def test_vectors_have_length_one_and_come_in_order(runtime):
    texts = ["a small boat", "the cat", "seven"]
    together = runtime.embed(texts, model="tiny-embed")
    assert (len(together.vectors), together.vectors.width) == (3, 64)
    assert all(math.isclose(1, math.hypot(*row), rel_tol=1e-6) for row in together.vectors)
    for place, text in enumerate(texts):
        alone = runtime.embed([text], model="tiny-embed").vectors[0]
        assert alone == pytest.approx(list(together.vectors[place]), abs=1e-5)
    assert together.usage.input_tokens > 3


def test_the_first_numbers_are_those_of_the_reference(runtime):
    vector = runtime.embed(["hello world"], model="tiny-embed").vectors[0]
    assert pytest.approx(list(vector[:4]), abs=1e-4) == [-0.009975, 0.157081, -0.168198, 0.032538]


def test_a_chat_model_embeds_by_the_mean(runtime):
    assert runtime.embed(["hello"], model="tiny-llama").vectors.width == 128


def test_a_text_too_long_is_context_overflow(runtime):
    with pytest.raises(ContextOverflow) as caught:
        runtime.embed(["short", "a " * 800], model="tiny-embed")
    assert (caught.value.limit, caught.value.needed) == (512, 802)


def test_other_widths_are_not_supported(runtime):
    with pytest.raises(NotSupported, match="width"):
        runtime.embed(["a"], model="tiny-embed", dimensions=8)


def test_a_reranker_does_not_embed(runtime):
    with pytest.raises(NotSupported, match="made for rerank"):
        runtime.embed(["a"], model="tiny-rerank")


def test_nothing_is_given_to_a_caller_who_left(backend):
    work = multitap_embedding(backend).embed(EmbeddingRequest(model="tiny-embed", texts=("a",)))
    seen = []
    work.run(lambda items: seen.extend(items))  # returns None: stop
    assert len(seen) <= 1


def test_documents_are_ranked_with_scores_from_0_to_1(runtime):
    documents = ["a", "b c", "hello"]
    ranking = runtime.rerank("hello world", documents, model="tiny-rerank")
    scores = [r.score for r in ranking.results]
    assert [r.index for r in ranking.results] == [2, 1, 0]
    assert scores == sorted(scores, reverse=True)
    assert pytest.approx(scores, abs=1e-3) == [0.7115, 0.6874, 0.6803]


def test_a_pair_too_long_is_context_overflow(runtime):
    with pytest.raises(ContextOverflow):
        runtime.rerank("q", ["a " * 800], model="tiny-rerank")


@pytest.mark.parametrize("text", ["Hello, wörld 😀", "<|im_end|>", " \n\t", "a"])
def test_text_survives_its_tokens(runtime, text):
    tokens = runtime.tokenize(text, model="tiny-llama")
    assert text == runtime.detokenize(tokens.ids, model="tiny-llama")
    assert text == b"".join(tokens.pieces).decode()


def test_special_tokens_are_added_on_request(runtime):
    bare = runtime.tokenize("hello", model="tiny-embed")
    whole = runtime.tokenize("hello", model="tiny-embed", special=True)
    assert (2, *bare.ids, 3) == whole.ids


def test_an_id_that_is_no_token_is_refused(runtime):
    with pytest.raises(BadRequest, match="0 to 767"):
        runtime.detokenize([1, 768], model="tiny-llama")
