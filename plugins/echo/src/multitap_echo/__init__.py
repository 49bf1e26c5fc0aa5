"""The echo: every capability, offline and deterministic."""
