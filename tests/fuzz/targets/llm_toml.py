"""Configurations: any text as a file, and as words after ``--llm``."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from multitap.config import load_config, read_config
from multitap.errors import ConfigError

SECRET = "zecret9"
WORDS = (
    *(b"[ollama]\n", b"[defaults]\n", b"[aliases]\n", b"[plugins]\n", b"[plugins.choose]\n"),
    *(b"provider = ", b"model = ", b"endpoint = ", b"api_key = ", b"timeout_ms = ", b"prices = "),
    *(b"proxy = ", b"carrier = ", b"think_tags = ", b"tools = ", b"allow = [", b'"""', b"'''"),
    *(b"max_input_tokens = ", b"max_file_bytes = ", b'"zecret9"', b'"http://me:zecret9@h:1/v1"'),
    *(
        b'"env:KEY"',
        b'"file:k"',
        b'"none"',
        b'"direct"',
        b"true",
        b"1.5",
        b"{ ",
        b" = ",
        b"\\u00e9",
    ),
    *(b"[ollama.prices.x]\n", b"input = 1\n", b"[[a]]\n", b"\r\n", b"\xef\xbb\xbf", b"open = "),
    *(b"prompt = ", b"anywhere = true", b'"{tools}"', b"1979-05-27", b"#", b".", b'"*" = '),
)
_SPOKEN = re.compile(rf'(?:api_key|proxy|endpoint)[ \t]*=[ \t]*"[^"\\\n]*{SECRET}[^"\\\n]*"')
_folder = TemporaryDirectory(prefix="multitap-fuzz-")


def check(data):
    path = Path(_folder.name, "llm.toml")
    path.write_bytes(data)
    text = data.decode("utf-8", "replace")
    problems = [problem_of(path), problem_of({}, overrides=text.splitlines())]
    config, errors = read_config(path, environ={})
    assert bool(errors) == (problems[0] is not None)
    for error in filter(None, problems):
        check_error(error, text)
    if is_hidden(text) and not is_a_name(config):
        assert SECRET not in f"{config!r} {problems} {list(map(str, errors))}"


def problem_of(config, **words):
    try:
        load_config(config, environ={}, **words)
    except ConfigError as error:
        return error
    return None


def check_error(error, text):
    for each in error.problems or [error]:
        assert each.hint
        assert each.line is None or 1 <= each.line <= text.count("\n") + 1


def is_hidden(text):
    """Does the secret stand only where secrets are written?"""
    return text.count(SECRET) == len(_SPOKEN.findall(text))


def is_a_name(config):
    """A model's alias, or a provider, may be called ``api_key``."""
    return any(
        SECRET in name for name in (*config.aliases.values(), *config.plugins.choose.values())
    )
