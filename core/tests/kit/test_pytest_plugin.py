"""What pytest is told of the kit: what is skipped or expected to fail, and how it is shown."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

HEAD = """
import honest, liars_chat
from multitap.testing.kit import EmbeddingSuite

def boom(backend):
    raise RuntimeError("no key in the drawer")
"""
QUICK = ("-p", "no:cacheprovider", "--import-mode=importlib", "-k")


@pytest.fixture
def run(pytester):
    """Run some checks of a class that is made by an expression."""

    def run_it(made, checks, *words):
        pytester.makepyfile(test_it=f"{HEAD}\nTestIt = {made}\n")
        return pytester.runpytest_inprocess(*QUICK, checks, *words)

    return run_it


def liar(id_, **facts):
    """The class of a liar, with deviations or other attributes."""
    return f"type('TestIt', (liars_chat.LIARS[{id_!r}],), {facts!r})"


SAYS = "says_what_the_server_said"


def test_a_failure_names_rule_input_and_what_to_do_and_shows_no_code_of_the_kit(run):
    result = run("liars_chat.LIARS['chat/answer']", SAYS)
    result.stdout.fnmatch_lines(
        [
            "chat/answer is broken by acme. An answer says what the server said, *",
            "  input:    the vector thought_whole: rt.chat('Are you sure?')",
            "  expected: {'usage': {'input_tokens': 9}}",
            "  came:     {'usage': {'input_tokens': 9, 'output_tokens': 0, 'total_tokens': 9}}",
            "  mend it:  *",
            "  see:      docs/kit.md#chat-answer",
        ],
        consecutive=True,
    )
    result.stdout.no_fnmatch_line("*raise Finding*")
    result.stdout.no_fnmatch_line("*Traceback*")


def test_an_error_of_the_plugin_is_told_with_its_place(run):
    result = run("liars_chat.LIARS['chat/refusals']", "a_status_is_the_error")
    result.stdout.fnmatch_lines(["  came:     TypeError: *", "*liars_chat.py:*, in fault: *"])


def test_a_deviation_is_expected_to_fail_with_its_reason(run):
    made = liar("chat/answer", deviations={"chat/answer": "Acme counts so"})
    result = run(made, SAYS, "-rx")
    result.assert_outcomes(xfailed=2, xpassed=2)
    result.stdout.fnmatch_lines(["XFAIL *thought_whole* - Acme counts so"])


def test_a_deviation_of_one_vector_leaves_the_others(run):
    made = liar("chat/answer", deviations={"chat/answer[thought]": "Acme counts so"})
    result = run(made, SAYS)
    result.assert_outcomes(xfailed=1, failed=1, passed=2)


def test_a_deviation_that_is_kept_after_all_fails(run):
    made = "honest.chat_suite(deviations={'chat/answer': 'It was so once'})"
    result = run(made, SAYS)
    result.assert_outcomes(xpassed=3, failed=1)
    result.stdout.fnmatch_lines(["chat/answer is kept after all: take it out of TestChat.deviat*"])


def test_a_deviation_of_no_vector_is_named(run):
    made = "honest.chat_suite(deviations={'chat/answer[sentense]': 'x'})"
    result = run(made, "every_deviation")
    result.stdout.fnmatch_lines(
        [
            "  input:    chat/answer[[]sentense]",
            "  expected: sentence",
            "  came:     there is no v*",
        ]
    )


def test_what_a_plugin_does_not_declare_is_skipped_and_its_suite_may_stay(run):
    made = "type('TestIt', (honest.ACME, EmbeddingSuite), {})"
    result = run(made, "has_its_suite or embedding_order", "-rs")
    assert result.parseoutcomes().get("failed") is None
    result.stdout.fnmatch_lines(["SKIPPED * acme does not declare embedding"])


def test_bytes_are_not_asked_of_a_plugin_in_this_process(run):
    result = run("honest.LAMP", "where_the_bytes_are_cut", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * acme works in this process: there are no bytes*"])


def test_the_header_says_who_is_tested_and_the_end_how_fast_it_is(run):
    result = run("honest.ACME", SAYS)
    result.stdout.fnmatch_lines(
        [
            "multitap * (api 1), acme: multitap-acme 1.2.3, TestChat",
            "  declares chat; 8 vectors",
            "acme: * ns a token, 13 tokens in sentence, read at once",
        ]
    )


# ---- a real server -------------------------------------------------------------------------------


@pytest.fixture
def real(tmp_path, monkeypatch):
    """A server that is not the kit's own, in llm.toml."""
    from honest import VECTORS

    from multitap.testing import Server
    from multitap.testing.kit.replay import replay

    with Server(replay(VECTORS)) as server:
        path = tmp_path / "llm.toml"
        path.write_text(f'[acme]\nendpoint = "{server.url}"\nmodel = "tiny"\n', "utf-8")
        monkeypatch.setenv("MULTITAP_CONFIG", str(path))
        yield server


def test_a_real_server_is_asked_what_can_be_asked_of_it(run, real):
    result = run("honest.ACME", "grammar or where_the_bytes_are_cut", "--multitap-live", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * it is about recorded bytes, and a real server is as*"])
    assert [request.json()["model"] for request in real.requests] == ["tiny"]


def test_without_a_model_to_ask_it_is_said_what_is_missing(run, tmp_path, monkeypatch):
    (tmp_path / "llm.toml").write_text("", "utf-8")
    monkeypatch.setenv("MULTITAP_CONFIG", str(tmp_path / "llm.toml"))
    result = run("honest.ACME", "grammar", "--multitap-live")
    result.stdout.fnmatch_lines(
        ["  came:     ConfigError: llm.toml names no model of acme to ask*"]
    )


def test_a_plugin_that_is_not_installed_is_told_by_its_name(run, pytester):
    pytester.makepyprojecttoml('[project.entry-points."multitap.chat"]\nacme = "acme"\n')
    result = run("type('TestIt', (honest.ACME,), {'provider': 'acmee'})", "valid or idle or io")
    result.stdout.fnmatch_lines(
        [
            "  came:     no installed distribution has an entry point named 'acmee'; *acme",
        ]
    )
    result.assert_outcomes(failed=1, skipped=result.parseoutcomes()["skipped"])
    assert result.ret == 1


def test_a_plugin_that_cannot_be_loaded_is_told_once(run):
    result = run("honest.chat_suite(boom)", "Test")
    result.stdout.fnmatch_lines(
        ["plugin/manifest is broken by acme*", "  came:     PluginError: *"]
    )
    result.assert_outcomes(failed=1, skipped=result.parseoutcomes()["skipped"])
    assert result.ret == 1


def test_a_hook_that_raises_is_told_with_its_place(run):
    result = run("honest.chat_suite(boom)", "valid or cut")
    result.stdout.fnmatch_lines(
        ["  came:     PluginError: *no key in the drawer*", "*test_it.py:*, in boom: *"]
    )
