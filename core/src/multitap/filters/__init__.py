"""Filters: stages over batches of events, put behind a plugin's decoder by the engine."""
