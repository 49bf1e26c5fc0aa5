"""Policy: pure objects with an injected clock; no I/O and no threads."""
