"""What all tests share: none may show a secret; see ``tests/canary``."""

import gc

pytest_plugins = ["canary.plugin"]


def pytest_collection_finish():
    """Twenty thousand tests and what they import stay to the end: no collection looks at them."""
    gc.collect()
    gc.freeze()
