"""No test of the repository may show a secret; see ``tests/canary``."""

pytest_plugins = ["canary.plugin"]
