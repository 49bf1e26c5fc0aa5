"""Ollama over its own API, as a provider for Multitap."""
