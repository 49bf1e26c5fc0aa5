"""Running ``multitap`` in tests: in this process, in another one, and at a pseudo-terminal."""

import contextlib
import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import jsonschema
import stage
from canary.plugin import listen

from multitap.cli import main
from multitap.cli.schema import read_schema
from multitap.registry import Registry

CEILING = 30.0
HERE = Path(__file__).parent
MAIN = "import sys; from multitap.cli import main; sys.exit(main())"
AT_TERMINAL = f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {MAIN}"


class Ran(NamedTuple):
    code: int
    out: str
    err: str


def registry(*providers):
    """What is installed: the stage under some names."""
    plugins = Registry(environ={"MULTITAP_PLUGINS": "none"})
    for name in providers or ("stage",):
        plugins.add(stage, name, stage.CAPABILITIES, distribution=f"multitap-{name}", version="1")
    return plugins


def run_here(*words, stdin=b"", plugins=None, **more):
    """One command in this process; standard streams as in a pipe, and nothing is configured."""
    environ = {"MULTITAP_CONFIG": os.devnull, **more}
    return run_in(environ, *words, stdin=stdin, plugins=plugins or registry())


def run_in(environ, *words, stdin=b"", plugins=None):
    """One command in this process, with these variables and the plugins that are installed."""
    streams = [io.TextIOWrapper(io.BytesIO(d), encoding="utf-8") for d in (stdin, b"", b"")]
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MULTITAP_")}
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = streams
    try:
        with mock.patch.dict(os.environ, {**kept, **environ}, clear=True):
            code = main(words, registry=plugins)
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
    for stream in streams[1:]:
        stream.flush()
    out, err = (stream.buffer.getvalue().decode() for stream in streams[1:])
    listen("the command line", out, err)
    return Ran(code, out, err)


def chat(*words, **more):
    """``run_here("chat", …)`` with a model of the stage."""
    return run_here("chat", *words, "-m", "stage:one", **more)


def valid(schema, text):
    """The value of some JSON text, which is as its schema says."""
    value = json.loads(text)
    jsonschema.Draft202012Validator(read_schema(schema)).validate(value)
    return value


def home(folder, **more):
    """The environment of a process that finds the stage, and nothing else, installed."""
    site = folder / "site" / "multitap_stage-1.0.dist-info"
    site.mkdir(parents=True, exist_ok=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: multitap-stage\nVersion: 1.0\n")
    groups = [f"[multitap.{name}]\nstage = stage\n" for name in stage.CAPABILITIES]
    (site / "entry_points.txt").write_text("".join(groups))
    config = folder / "llm.toml"
    if not config.exists():
        config.write_text('[defaults]\nprovider = "stage"\nmodel = "one"\n')
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MULTITAP", "PYTHON", "XDG_"))}
    path = os.pathsep.join([str(site.parent), str(HERE), *sys.path])
    own = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": path}
    own |= {"MULTITAP_CONFIG": str(config), "MULTITAP_PLUGINS": "multitap-stage", "TERM": "xterm"}
    kept.pop("NO_COLOR", None)
    return {**kept, **own, **more}


def run_there(folder, *words, code=MAIN, **more):
    """One command in a process of its own."""
    options = {"stdin": subprocess.DEVNULL, "capture_output": True, "env": home(folder), **more}
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=folder, timeout=CEILING, encoding="utf-8", **options)
    return Ran(done.returncode, done.stdout, done.stderr)


class Doorbell:
    """A named pipe that a model of the stage rings once it is at work."""

    def __init__(self, folder):
        self.path = folder / "doorbell"
        os.mkfifo(self.path)
        self._end = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def wait(self):
        ready = select.select([self._end], [], [], CEILING)[0]
        os.close(self._end)
        assert ready, "the model was not asked"


class Terminal:
    """A process at a terminal of its own; Ctrl-C is the terminal's."""

    def __init__(self, folder, *words, **more):
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", AT_TERMINAL, *words],
            **{"stdin": slave, "stdout": slave, "stderr": slave, "env": home(folder), **more},
            cwd=folder,
            start_new_session=True,
        )
        os.close(slave)
        self._shown = ""
        self._read = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    @property
    def screen(self):
        """All that was shown, without the line editor's switches for pastes."""
        return self._shown.replace("\x1b[?2004h", "").replace("\x1b[?2004l\r", "")

    def type(self, text):
        os.write(self._master, text.encode())

    def expect(self, text):
        """Wait until the text appears after what was expected before; what stood before it."""
        until = time.monotonic() + CEILING
        while text not in self.screen[self._read :]:
            assert time.monotonic() < until, f"{text!r} did not come: {self.screen!r}"
            assert self._more(), f"it ended without {text!r}: {self.screen!r}"
        start, self._read = self._read, self.screen.index(text, self._read) + len(text)
        return self.screen[start : self._read - len(text)]

    def interrupt(self, prompt):
        """Type Ctrl-C until the next prompt; a line editor that is busy with a key misses it."""
        shown = self.screen.count(prompt)
        until = again = time.monotonic()
        until += CEILING
        while self.screen.count(prompt) == shown:
            if time.monotonic() >= again:
                assert again < until, f"no prompt came: {self.screen[:500]!r}"
                self.type("\x03")
                again = time.monotonic() + 1.0
            self._more(max(0.0, again - time.monotonic()))

    def end(self):
        """Wait for the end; the exit code."""
        while self._more():
            pass
        return self._process.wait(CEILING)

    def _more(self, seconds=CEILING):
        ready, _, _ = select.select([self._master], [], [], seconds)
        data = b""
        if ready:
            with contextlib.suppress(OSError):  # on Linux, what the end of a terminal looks like
                data = os.read(self._master, 65536)
        self._shown += data.decode(errors="replace")
        return bool(data)
