"""An observer, a filter and a command; for tests."""
