"""The conversation, driven at a pseudo-terminal."""

import json
import stat

from command_line import Doorbell, Terminal, home

CTRL_C, CTRL_D, UP = "\x03", "\x04", "\x1b[A"
PASTE = "\x1b[200~{}\x1b[201~"


def ask(terminal, text):
    """Type a message at the next prompt."""
    terminal.expect("> ")
    terminal.type(f"{text}\r")


def recalled(terminal):
    """What the model was sent."""
    ask(terminal, "recall")
    terminal.expect("[[")
    return json.loads("[[" + terminal.expect("]]") + "]]")


def test_each_turn_is_sent_with_those_before(tmp_path):
    with Terminal(tmp_path, "chat") as terminal:
        ask(terminal, "hello")
        terminal.expect("hello\r\nhello")
        said = [["user", "hello"], ["assistant", "hello"], ["user", "recall"]]
        assert said == recalled(terminal)


def test_ctrl_d_leaves(tmp_path):
    with Terminal(tmp_path, "chat") as terminal:
        terminal.expect("> ")
        terminal.type(CTRL_D)
        assert terminal.end() == 0
        assert "Traceback" not in terminal.screen


def test_ctrl_c_at_the_prompt_clears_the_line(tmp_path):
    with Terminal(tmp_path, "chat") as terminal:
        terminal.expect("> ")
        terminal.type("never sent")
        terminal.expect("never sent")
        terminal.interrupt("> ")
        assert recalled(terminal) == [["user", "recall"]]


def test_ctrl_c_in_an_answer_keeps_what_had_come(tmp_path):
    with Terminal(tmp_path, "chat") as terminal:
        ask(terminal, "wait")
        terminal.expect("a part")
        terminal.type(CTRL_C)
        terminal.expect("stopped")
        said = [["user", "wait"], ["assistant", "a part"], ["user", "recall"]]
        assert said == recalled(terminal)


def test_ctrl_c_before_an_answer_takes_the_question_back(tmp_path):
    bell = Doorbell(tmp_path)
    with Terminal(tmp_path, "chat") as terminal:
        ask(terminal, f"wait {bell.path}")
        bell.wait()
        terminal.type(CTRL_C)
        assert recalled(terminal) == [["user", "recall"]]


def test_a_failed_turn_leaves_the_conversation_as_it_was(tmp_path):
    with Terminal(tmp_path, "chat") as terminal:
        ask(terminal, "fail")
        terminal.expect("half an\r\nmultitap: stage: the engine broke. Look at the engine's log")
        ask(terminal, "crash")
        terminal.expect("failed with RuntimeError: no such scene")
        assert recalled(terminal) == [["user", "recall"]]


def test_a_paste_of_several_lines_is_one_message(tmp_path):
    with Terminal(tmp_path, "chat") as terminal:
        ask(terminal, PASTE.format("one\rtwo\r\rthree"))
        assert recalled(terminal)[0] == ["user", "one\ntwo\n\nthree"]


def test_history_is_kept_for_the_next_time_and_is_the_users_own(tmp_path):
    with Terminal(tmp_path, "chat") as terminal:
        ask(terminal, PASTE.format("two\rlines"))
        ask(terminal, "second")
        ask(terminal, f"{UP}{UP}")
        terminal.expect("\r\ntwo\r\nlines\r\n")
        terminal.expect("> ")
        terminal.type(CTRL_D)
        assert terminal.end() == 0
    kept = tmp_path / "state" / "multitap" / "chat-history.jsonl"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    with Terminal(tmp_path, "chat") as terminal:
        ask(terminal, UP)
        assert recalled(terminal)[0] == ["user", "two\nlines"]


def test_history_can_be_turned_off(tmp_path):
    with Terminal(tmp_path, "chat", "--no-history") as terminal:
        ask(terminal, "hello")
        terminal.expect("> ")
        terminal.type(CTRL_D)
        assert terminal.end() == 0
    assert not (tmp_path / "state").exists()


def test_a_history_that_cannot_be_kept_is_a_warning(tmp_path):
    (tmp_path / "state").write_text("no folder")
    with Terminal(tmp_path, "chat") as terminal:
        terminal.expect("warning: the history in")
        terminal.expect("--no-history turns it off.")
        ask(terminal, "hello")
        terminal.expect("hello\r\nhello")


def test_commands(tmp_path):
    with Terminal(tmp_path, "chat", "--system", "be brief") as terminal:
        terminal.expect("stage:one: /help")
        ask(terminal, "/help")
        terminal.expect("/exit       leave")
        ask(terminal, "/model stage:two")
        terminal.expect("\r\nstage:two")
        ask(terminal, "/model nowhere:x")
        terminal.expect("\r\nstage:nowhere:x")
        ask(terminal, "/modle")
        terminal.expect("there is no /modle")
        ask(terminal, "//slash")
        terminal.expect("\r\n/slash")
        assert recalled(terminal)[:2] == [["system", "be brief"], ["user", "/slash"]]
        ask(terminal, "/clear")
        ask(terminal, "/system")
        assert recalled(terminal) == [["user", "recall"]]
        ask(terminal, "/exit")
        assert terminal.end() == 0


def test_control_characters_of_the_model_do_not_reach_the_terminal(tmp_path):
    with Terminal(tmp_path, "chat") as terminal:
        ask(terminal, "red")
        terminal.expect("red\r\nredevil\r\n")


def test_thinking_is_dim_and_apart_from_the_answer(tmp_path):
    with Terminal(tmp_path, "chat", "think") as terminal:
        terminal.expect("\x1b[2mThinking: first thoughts\x1b[0m\r\n\r\nthen words\r\n")
        assert terminal.end() == 0


def test_no_color_is_heeded(tmp_path):
    with Terminal(tmp_path, "chat", "think", env=home(tmp_path, NO_COLOR="1")) as terminal:
        assert terminal.end() == 0
        assert terminal.screen == "Thinking: first thoughts\r\n\r\nthen words\r\n"


def test_loading_is_told_once(tmp_path):
    with Terminal(tmp_path, "chat", "loading") as terminal:
        assert terminal.end() == 0
        assert terminal.screen == "multitap: loading …\r\nloaded\r\n"


def test_ctrl_c_in_a_single_answer(tmp_path):
    with Terminal(tmp_path, "chat", "wait") as terminal:
        terminal.expect("a part")
        terminal.type(CTRL_C)
        assert terminal.end() == 130
        assert terminal.screen.endswith("a part^C\r\nmultitap: interrupted.\r\n")


def test_tables_at_a_terminal(tmp_path):
    with Terminal(tmp_path, "models") as terminal:
        assert terminal.end() == 0
        assert "\x1b[1mMODEL" in terminal.screen
        assert "\r\nstage:two  " in terminal.screen
    with Terminal(tmp_path, "models", env=home(tmp_path, NO_COLOR="1")) as terminal:
        assert terminal.end() == 0
        assert terminal.screen.startswith("MODEL")
        assert "\x1b" not in terminal.screen
