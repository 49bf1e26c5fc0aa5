"""What the committed demo model answers: the promised bounds, asked of the real engine."""

import json
from pathlib import Path

import pytest
import xllamacpp

PLUGIN = Path(__file__).parents[1]
MODEL = PLUGIN / "src/multitap_llamacpp/demo.gguf"
MEGABYTE = 1_000_000


def data(name):
    return json.loads((PLUGIN / "demo" / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def ask():
    """Returns the answer to a question, and why it ended."""
    made = xllamacpp.CommonParams()
    made.model.path, made.verbosity = str(MODEL), -1
    made.hostnames, made.port, made.n_parallel, made.n_ctx = ["127.0.0.1"], 0, 1, 256
    made.cpuparams.n_threads = made.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(made)

    def answer(question, **options):
        messages = [{"role": "user", "content": question}]
        reply = server.handle_chat_completions({"messages": messages, **options})
        choice = reply["choices"][0]
        return choice["message"]["content"], choice["finish_reason"]

    return answer


@pytest.fixture(scope="module")
def answers():
    """The full answer of each fact by its id."""
    facts = data("facts.json")
    found = {fact["id"]: fact["answer"] for fact in facts["facts"]}
    for family in facts["families"]:
        for name, entity in family["entities"].items():
            answer = family["answer"].replace("{p}", name).replace("{v}", entity.get("value", ""))
            found[f"{family['id']}-{name}"] = answer
    return found


@pytest.fixture(scope="module")
def replies(ask):
    """Every held-out question that is not trained on, with its fact, its answer and its end."""
    held_out, printed = (
        data("held_out.json"),
        {q.lower().strip("?") for q, _ in data("printed.json")},
    )
    table = [(row["q"], row["fact"]) for row in held_out["on_topic"]]
    table += [(question, None) for question in held_out["off_topic"]]
    asked = [(q, fact) for q, fact in table if q.lower().strip("?") not in printed]
    return [(question, fact, *ask(question)) for question, fact in asked]


def test_the_file_stays_small():
    assert MODEL.stat().st_size <= 4 * MEGABYTE


@pytest.mark.parametrize(("question", "fact"), data("printed.json"))
def test_questions_printed_in_the_documentation_get_their_whole_answer(
    ask, answers, question, fact
):
    assert ask(question) == (answers[fact], "stop")


def test_every_answer_ends_by_itself(replies):
    assert {"stop"} == {end for _, _, _, end in replies}


def test_every_answer_is_one_of_the_written_ones(replies, answers):
    known = {*answers.values(), data("facts.json")["refusal"]}
    assert [text for _, _, text, _ in replies if text not in known] == []


def test_most_questions_that_it_never_saw_are_answered_right(replies, answers):
    right = [text == answers[fact] for _, fact, text, _ in replies if fact]
    assert sum(right) >= 0.85 * len(right)


def test_most_questions_about_other_things_are_refused(replies):
    refusal = data("facts.json")["refusal"]
    refused = [text == refusal for _, fact, text, _ in replies if fact is None]
    assert sum(refused) >= 0.90 * len(refused)


def test_the_example_of_the_help_is_refused_with_what_to_ask(ask):
    assert ask("Why is the sky blue?") == (data("facts.json")["refusal"], "stop")


@pytest.mark.parametrize(
    "question", ["HOW DO I ADD OLLAMA???", "how do i add ollama", "  How do I add 'Ollama' ?\n"]
)
def test_case_and_punctuation_do_not_matter(ask, answers, question):
    assert ask(question)[0] == answers["add-ollama"]


def test_the_file_asks_for_greedy_answers_unless_the_caller_wants_others(ask):
    assert len({ask("Ollama?", seed=seed)[0] for seed in range(8)}) == 1
