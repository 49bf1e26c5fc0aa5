"""What all tests share: none may show a secret; see ``tests/canary``."""

import gc

pytest_plugins = ["canary.plugin"]

LONGEST = (
    "core/tests/kit/test_liars.py",
    "tests/test_new_plugin_wheel.py",
    "tests/test_readme.py",
    "tests/test_invented.py",
    "tests/faults/test_storm.py",
    "tests/test_tutorial.py",
    "tests/test_one_program.py",
    "tests/test_old_wheels.py",
)


def pytest_collection_modifyitems(items):
    """The files that take longest begin first, so that at the end no worker is left with one."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_collection_finish():
    """Twenty thousand tests and what they import stay to the end: no collection looks at them."""
    gc.collect()
    gc.freeze()
