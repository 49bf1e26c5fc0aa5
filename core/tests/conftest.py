"""What every test of the core relies on."""

from __future__ import annotations

import signal

# Where a shell started the tests in the background SIGINT is ignored, and children inherit that;
# the tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)
