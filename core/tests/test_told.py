"""What is not just as it was asked for is told on the one result: vectors, a ranking, tokens."""

from __future__ import annotations

import letters
import pytest

from multitap.capabilities.embedding import Embeddings, Vectors
from multitap.capabilities.rerank import Ranked, Ranking
from multitap.capabilities.tokenize import Tokens, TokenText
from multitap.events import Notice
from multitap.hookspecs import hookimpl
from multitap.testing import WORLDS
from multitap.work import LocalExchange

SMALL = Notice("other_model", "A smaller model answered.")
OWN = Notice("approximate", "Ids are guessed.")


def gives(*items):
    return LocalExchange(lambda emit: emit(list(items)))


class Speller:
    """Tells ``notices`` before each result, and declares that it hears ``options``."""

    def __init__(self, notices=(), options=None):
        self.notices = notices
        self.asked = []
        if options is not None:
            self.options = options

    @hookimpl
    def multitap_embedding(self, backend):
        return self

    @hookimpl
    def multitap_rerank(self, backend):
        return self

    @hookimpl
    def multitap_tokenize(self, backend):
        return self

    def embed(self, request):
        self.asked.append(request)
        return gives(*self.notices, Embeddings(vectors=Vectors.from_rows([[1.0]])))

    def rerank(self, request):
        self.asked.append(request)
        ranked = (Ranked(0, 0.5), Ranked(1, 0.75))
        return gives(*self.notices, Ranking(results=ranked))

    def tokenize(self, request):
        self.asked.append(request)
        return gives(*self.notices, Tokens(ids=(1, 2), warnings=(OWN,)))

    def detokenize(self, request):
        return gives(*self.notices, TokenText("ab"))


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def make(request):
    """A runtime with this plugin alone."""
    opened = []

    def make(*args, **options):
        plugin = Speller(*args, **options)
        config = {"defaults": {"model": "acme:tiny"}}
        opened.append(request.param(config, letters.registry(acme=plugin)))
        return opened[-1], plugin

    yield make
    for one in opened:
        one.close()


CALLS = {"embed": ("a",), "rerank": ("a", ["b", "c"]), "tokenize": ("a",)}


def told(found):
    return tuple(notice for notice in found.warnings if notice != OWN)


@pytest.mark.parametrize("verb", CALLS)
def test_what_is_told_before_a_result_is_on_it(make, verb):
    world, _ = make([SMALL])
    assert told(world.call(verb, *CALLS[verb])) == (SMALL,)


@pytest.mark.parametrize("verb", CALLS)
def test_where_nothing_is_told_there_is_no_warning(make, verb):
    world, _ = make()
    assert told(world.call(verb, *CALLS[verb])) == ()


def test_a_ranking_stays_in_order_and_cut_beside_its_warnings(make):
    world, _ = make([SMALL])
    found = world.call("rerank", "a", ["b", "c"], top_n=1)
    assert (found.results, found.warnings) == ((Ranked(1, 0.75),), (SMALL,))


def test_warnings_of_the_result_itself_are_kept(make):
    world, _ = make([SMALL])
    assert world.call("tokenize", "a").warnings == (SMALL, OWN)


def test_a_text_of_tokens_is_a_text_whatever_is_told(make):
    world, _ = make([SMALL])
    assert world.call("detokenize", [1, 2]) == "ab"


@pytest.mark.parametrize(("options", "warned"), [(None, False), ([], True), (["special"], False)])
@pytest.mark.parametrize("special", [True, False])
def test_special_is_warned_of_where_it_is_not_heard(make, options, warned, special):
    world, plugin = make(options=options)
    found = told(world.call("tokenize", "a", special=special))
    expected = ["special"] if warned and special else []
    assert [notice.option for notice in found] == expected
    assert plugin.asked[0].special is special


def test_a_warning_about_all_batches_is_given_once(make):
    world, plugin = make([SMALL], options=[])
    plugin.most_texts = 1
    found = world.call("embed", ["a", "b", "c"], input_type="query")
    assert len(plugin.asked) == 3
    assert [notice.code for notice in found.warnings] == ["unsupported_option", "other_model"]
