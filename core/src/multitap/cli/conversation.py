"""A conversation at a terminal: turns, a few commands, and what a Ctrl-C means when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multitap.cli.answers import show_answer
from multitap.cli.editor import LineEditor
from multitap.errors import MultitapError
from multitap.messages import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multitap.cli.output import Output
    from multitap.messages import Image
    from multitap.runtime import Runtime

__all__ = ("Conversation",)

_HELP = """\
/model X    talk to another model; without X, tell which one it is
/system X   give instructions; without X, take them back
/clear      begin again
/exit       leave, as Ctrl-D does
A message that begins with a slash is written with two. Ctrl-C stops an answer."""


class Conversation:
    """What was said, and with which model and options.

    Args:
        pictures: They go with the first message.
        options: Those of ``Runtime.stream``.
    """

    def __init__(
        self,
        runtime: Runtime,
        output: Output,
        model: str | None,
        pictures: Sequence[Image],
        options: dict[str, Any],
    ) -> None:
        self._runtime = runtime
        self._output = output
        self._model = runtime.resolve(model).ref
        self._pictures = pictures
        self._options = options
        self._said: list[Message] = []
        self._commands = {
            "/help": self._help,
            "/model": self._talk_to,
            "/system": self._instruct,
            "/clear": self._begin_again,
        }

    def run(self, *, keep_history: bool) -> None:
        """Talk until the user leaves."""
        editor = LineEditor(self._output, keep_history=keep_history)
        self._output.line(f"{self._model}: /help tells the commands, Ctrl-D leaves.")
        stopped = False
        while True:
            # all that a second Ctrl-C may interrupt stands within the one `try`
            try:
                if stopped:
                    self._output.line()
                stopped = False
                if not self._obey(editor.read()):
                    return
            except KeyboardInterrupt:
                stopped = True
            except EOFError:
                self._output.line()
                return

    def _obey(self, text: str) -> bool:
        """Answer one message, or carry out a command; whether the conversation goes on."""
        command, _, rest = text.strip().partition(" ")
        if command == "/exit":
            return False
        if command in self._commands:
            self._commands[command](rest.strip())
        elif command.startswith("/") and not command.startswith("//"):
            self._output.note(f"there is no {command}. /help tells the commands; // begins with /.")
        elif text.strip():
            self._ask(text[1:] if text.startswith("//") else text)
        return True

    def _help(self, _: str) -> None:
        self._output.line(_HELP)

    def _talk_to(self, reference: str) -> None:
        try:
            self._model = self._runtime.resolve(reference).ref if reference else self._model
        except MultitapError as error:
            self._output.note(str(error))
        self._output.line(self._model)

    def _instruct(self, text: str) -> None:
        self._options["system"] = text or None

    def _begin_again(self, _: str) -> None:
        self._said = []

    def _ask(self, text: str) -> None:
        """One turn; one that failed, or was stopped before anything came, leaves no trace."""
        turns = [*self._said, Message("user", [text, *self._pictures])]
        try:
            stream = self._runtime.stream(messages=turns, model=self._model, **self._options)
            try:
                show_answer(stream, self._output)
            except KeyboardInterrupt:
                self._output.note("stopped.")
        except MultitapError as error:
            self._output.note(str(error))
            return
        if stream.answer.message.parts:
            self._said = [*turns, stream.answer.message]
            self._pictures = ()
