"""The code blocks of a plugin's README: what they are, and how its Python examples are run."""

import re

FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(readme):
    """Language and text of each."""
    return [(m["language"], m["text"]) for m in FENCE.finditer(readme.read_text("utf-8"))]


def quiet_home(folder, monkeypatch, *variables):
    """An empty home to work in, without Multitap's variables and these."""
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(folder))
    for variable in ("MULTITAP_CONFIG", "MULTITAP_PLUGINS", *variables):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(folder)


def run_python(readme, capsys):
    """Run the Python examples, one after the other; each prints the block behind it. How many?"""
    names, shown = {}, 0
    for number, (language, text) in enumerate(blocks(readme)):
        if language == "python":
            exec(compile(text, str(readme), "exec"), names)
            expected, printed = blocks(readme)[number + 1], capsys.readouterr().out
            assert ("text", printed) == expected
            shown += 1
    return shown
