"""``multitap chat``: one answer, or a conversation where a person sits at a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from multitap.cli.answers import print_events, show_answer
from multitap.cli.inputs import image_of, piped, question, schema_of
from multitap.cli.options import Command, events_option, json_option, option, runtime_options
from multitap.cli.output import is_terminal
from multitap.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multitap.cli.invocation import Invocation
    from multitap.runtime import Runtime

__all__ = ("chat",)

_EXAMPLES = """\b
Examples:
  multitap chat -m ollama:llama3.2 "Why is the sky blue?"
  git diff | multitap chat "Write a commit message for this:" --max-tokens 80

\b
With neither PROMPT nor piped input it is a conversation; /help tells its commands.
Exit codes: 0 done, 1 backend, 2 usage or configuration, 3 plugin, 130 interrupted.
"""


@click.command(cls=Command, epilog=_EXAMPLES, short_help="Ask a model, once or in a conversation.")
@click.argument("prompt", required=False)
@runtime_options
@option("--system", metavar="TEXT", group="Answer", help="Instructions before the conversation.")
@option("--max-tokens", type=int, metavar="N", group="Answer", help="Most tokens of the answer.")
@option("--temperature", type=float, metavar="X", group="Answer", help="0 is the least random.")
@option("--top-p", type=float, metavar="X", group="Answer", help="Nucleus sampling, from 0 to 1.")
@option("--seed", type=int, metavar="N", group="Answer", help="The same seed, the same answer.")
@option("--stop", multiple=True, metavar="TEXT", group="Answer", help="End there; repeatable.")
@option("--think", metavar="LEVEL", group="Answer", help="off, low, medium, high, …")
@option("--image", "images", multiple=True, metavar="FILE", group="Answer", help="Repeatable.")
@option("--schema", metavar="FILE", group="Answer", help="A JSON Schema that the answer fits.")
@option("--strict", is_flag=True, group="Answer", help="Fail where an option would be ignored.")
@json_option
@events_option
@option("--no-history", is_flag=True, group="Output", help="Keep no history of what is typed.")
@click.pass_obj
def chat(
    invocation: Invocation,
    /,
    prompt: str | None,
    model: str | None,
    llm: Sequence[str],
    config: str | None,
    images: Sequence[str],
    schema: str | None,
    no_history: bool,
    **options: Any,
) -> None:
    """Ask a model and show the answer as it comes.

    Piped standard input is the prompt, or is added to PROMPT after a blank line.
    """
    text = _asked(invocation, prompt)
    options["response_format"] = schema_of(schema) if schema else None
    pictures = [image_of(file) for file in images]
    with invocation.runtime(config, llm) as runtime:
        model = _model(invocation, runtime, model)
        if text is None:
            from multitap.cli.conversation import Conversation

            conversation = Conversation(runtime, invocation.output, model, pictures, options)
            conversation.run(keep_history=not no_history)
        else:
            _answer(invocation, runtime, [text, *pictures], model=model, **options)


def _asked(invocation: Invocation, prompt: str | None) -> str | None:
    """The question; ``None`` where a person is to be asked for it."""
    more = piped()
    if prompt is not None or more is not None:
        return question(prompt, more)
    if invocation.form != "text" or not (invocation.output.terminal and is_terminal(sys.stdin)):
        raise ConfigError("there is no prompt", hint='Write multitap chat "…", or pipe it in.')
    return None


def _model(invocation: Invocation, runtime: Runtime, model: str | None) -> str | None:
    """The model that was asked for, or the demo model where there is nothing else."""
    assert invocation.config is not None
    if model is not None:
        return model
    from multitap.cli.demo import fallback

    return fallback(runtime, invocation.config, invocation.output)


def _answer(
    invocation: Invocation, runtime: Runtime, prompt: Sequence[Any], **options: Any
) -> None:
    if invocation.form == "json":
        invocation.output.json(runtime.chat(prompt, **options).to_dict())
    elif invocation.form == "events":
        print_events(runtime.stream(prompt, **options), invocation.output)
    else:
        show_answer(runtime.stream(prompt, **options), invocation.output)
