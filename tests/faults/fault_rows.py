"""The rows of the fault matrix: what happens, and whose tests prove what comes of it."""

from __future__ import annotations

import ast
from collections import defaultdict

from fault_answers import HTTP
from matrix_lines import HOME

from multitap.testing.faults import SCRIPTS

ENGINE, PLUGINS = "engine", "registry"
LATER = {"sessions and cache", "local engines", "the daemon"}

ROWS = {
    "A1": ("connection refused", ENGINE),
    "A2": ("the name is not found", ENGINE),
    "A3": ("TLS: untrusted, for another host, reset in the handshake", ENGINE),
    "A4": ("connecting takes for ever", ENGINE),
    "A5": ("our own queue is full", ENGINE),
    "A6": ("the proxy refuses", ENGINE),
    "A7": ("a kept connection is closed under us", ENGINE),
    "B1": ("no first byte", ENGINE),
    "B2": ("silence in the middle", ENGINE),
    "B3": ("nothing but pings", ENGINE),
    "B4": ("head or body byte by byte", ENGINE),
    "B5": ("reset in the middle", ENGINE),
    "B6": ("a clean end without the end of the answer", ENGINE),
    "B7": ("the socket stays open after the end", ENGINE),
    "B8": ("the time of the whole call", ENGINE),
    "C1": ("JSON that is cut", ENGINE),
    "C2": ("bytes that are no UTF-8", ENGINE),
    "C3": ("characters split over reads", ENGINE),
    "C4": ("U+2028, U+0085, CR LF, a byte order mark", ENGINE),
    "C5": ("a giant line or event", ENGINE),
    "C6": ("endless headers, endless 103", ENGINE),
    "C7": ("another content type", ENGINE),
    "C8": ("an HTML page", ENGINE),
    "C9": ("an error in an answer with status 200", ENGINE),
    "C10": ("a bomb, an unknown or a stacked encoding", ENGINE),
    "C11": ("two values on a line, one over two lines", ENGINE),
    "C12": ("NaN, depth, huge numbers, half a pair", ENGINE),
    "C13": ("bad chunk size, length and chunks, two lengths", ENGINE),
    "D1": ("400", ENGINE),
    "D2": ("401", ENGINE),
    "D3": ("403", ENGINE),
    "D4": ("404", ENGINE),
    "D5": ("405, 406, 410, 415, 501", ENGINE),
    "D6": ("408", ENGINE),
    "D7": ("409", ENGINE),
    "D8": ("413", ENGINE),
    "D9": ("422", ENGINE),
    "D10": ("424", ENGINE),
    "D11": ("429 with a short hint", ENGINE),
    "D12": ("429 with a long hint", ENGINE),
    "D13": ("429 without a hint", ENGINE),
    "D14": ("429 of a spent account", ENGINE),
    "D15": ("a hint that makes no sense", ENGINE),
    "D16": ("500", ENGINE),
    "D17": ("502, 504", ENGINE),
    "D18": ("503 while a model loads", ENGINE),
    "D19": ("503 of a busy server", ENGINE),
    "D20": ("529", ENGINE),
    "D21": ("520 to 527, 530", ENGINE),
    "D22": ("a redirect to another path", ENGINE),
    "D23": ("a redirect to another host", ENGINE),
    "D24": ("x-should-retry", ENGINE),
    "E1": ("one index of two calls", ENGINE),
    "E2": ("a call without index or id", ENGINE),
    "E3": ("indices out of order, with gaps", ENGINE),
    "E4": ("arguments that are no JSON", ENGINE),
    "E5": ("no [DONE]", ENGINE),
    "E6": ("data after [DONE]", ENGINE),
    "E7": ("no finish reason", ENGINE),
    "E8": ("no usage", ENGINE),
    "E9": ("usage twice, negative, absurd", ENGINE),
    "E10": ("NaN in a vector", ENGINE),
    "E11": ("too few or too many vectors", ENGINE),
    "E12": ("indices of vectors out of order", ENGINE),
    "E13": ("vectors of another width", ENGINE),
    "E14": ("the model was unloaded", ENGINE),
    "E15": ("an answer of another model", ENGINE),
    "E16": ("nothing was said", ENGINE),
    "E17": ("one request id twice", "the daemon"),
    "F1": ("disk full: session", "sessions and cache"),
    "F2": ("disk full: cache", "sessions and cache"),
    "F3": ("disk full: pull", "local engines"),
    "F4": ("the cache is corrupt", "sessions and cache"),
    "F5": ("rot in the cache", "sessions and cache"),
    "F6": ("the cache is locked", "sessions and cache"),
    "F7": ("the cache is read-only", "sessions and cache"),
    "F8": ("killed in autosave", "sessions and cache"),
    "F9": ("killed in a write of the cache", "sessions and cache"),
    "F10": ("killed in a pull", "local engines"),
    "F11": ("fork", ENGINE),
    "F12": ("a closed loop, a second loop", ENGINE),
    "F13": ("cancelled at every await", ENGINE),
    "F14": ("a slow consumer", ENGINE),
    "F15": ("ten thousand at once", ENGINE),
    "F16": ("no more file descriptors", ENGINE),
    "F17": ("the engine crashes", "local engines"),
    "F18": ("the engine does not stop", "local engines"),
    "F19": ("a pull of other bytes", "local engines"),
    "F20": ("a pull that stalls", "local engines"),
    "F21": ("the clock on the wall is set", ENGINE),
    "F22": ("the owner dies", "the daemon"),
    "F23": ("the owner is stopped", "the daemon"),
    "F24": ("a process id is used again", "the daemon"),
    "F25": ("the lock is deleted, or far away", "the daemon"),
    "F26": ("the daemon is lost in a stream", "the daemon"),
    "F27": ("the daemon is told to end", "the daemon"),
    "G1": ("a plugin that cannot be imported", PLUGINS),
    "G2": ("a plugin that exits", PLUGINS),
    "G3": ("a hook that raises", PLUGINS),
    "G4": ("two plugins of one name", PLUGINS),
    "G5": ("a plugin for other hooks", PLUGINS),
    "G6": ("a plugin that blocks the loop", PLUGINS),
    "G7": ("a plugin that never returns", PLUGINS),
    "G8": ("a plugin that gives something else", PLUGINS),
    "G9": ("a plugin that changes the process", PLUGINS),
    "G10": ("a plugin that is slow to import", PLUGINS),
    "G11": ("a plugin that is removed in use", PLUGINS),
}
"""Each row: what happens, and who owns it."""

OWNED = tuple(row for row, (_, owner) in ROWS.items() if owner not in LATER)
ON_THE_WIRE = tuple(row for row in OWNED if row[0] in "ABCD")
"""Rows of the wire are held to on every HTTP plugin."""


def marked():
    """The rows that tests are marked with, and the files of those tests."""
    found = defaultdict(set)
    for pattern in ("core/tests/**/test_*.py", "plugins/*/tests/test_*.py", "tests/**/test_*.py"):
        for path in HOME.glob(pattern):
            text = path.read_text("utf-8")
            if "fault(" in text:
                for row in _rows_in(ast.parse(text)):
                    found[row].add(path.relative_to(HOME).as_posix())
    return found


def _rows_in(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and "fault" in (
            getattr(node.func, "id", ""),
            getattr(node.func, "attr", ""),
        ):
            yield from (each.value for each in node.args if isinstance(each, ast.Constant))


def markdown(rows):
    """A table as the documentation has it."""
    head, *others = rows
    lines = [head, ["---"] * len(head), *others]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def table(results):
    """The rows, and what the tests of each gave: of all, and on each HTTP plugin."""
    yield ["row", "fault", "owner", "tests", *HTTP]
    for row, (title, owner) in ROWS.items():
        yield [row, title, owner, *(_cell(results, row, plugin) for plugin in ("", *HTTP))]


def _cell(results, row, plugin):
    found = results.get((row, plugin))
    if not found:
        return "-"
    good = found.get("passed", 0)
    others = ", ".join(f"{count} {how}" for how, count in found.items() if how != "passed")
    return f"{good}, {others}" if others else str(good)


# ---- the page ------------------------------------------------------------------------------------


def scripts_page():
    """The scripts, a row each."""
    yield ["script", "row", "what the server does"]
    for script in SCRIPTS.values():
        yield [f"`{script.name}`", script.row, script.says]


def rows_page():
    """The faults, a row each; where one is not tested here, whose it is."""
    yield ["row", "fault", "tested"]
    for row, (title, owner) in ROWS.items():
        where = "on every HTTP plugin" if row in ON_THE_WIRE else "here" if row in OWNED else owner
        yield [row, title, where]
