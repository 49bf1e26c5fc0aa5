"""What every test of the core relies on."""

from __future__ import annotations

import os
import signal
from tempfile import TemporaryDirectory

from hypothesis import settings

# how long an example takes says how busy the machine is
settings.register_profile("patient", settings(), deadline=None)
settings.register_profile("brief", settings(), deadline=None, max_examples=50)
settings.load_profile("patient")

# Where a shell started the tests in the background SIGINT is ignored, and children inherit that;
# the tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# what the registry keeps on disk is the user's own; tests keep it for themselves
_cache = TemporaryDirectory(prefix="multitap-tests-")
os.environ["XDG_CACHE_HOME"] = _cache.name
