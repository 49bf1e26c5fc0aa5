"""Multitap with its plugin for Ollama and the extra ``simdjson``; see ``multitap.py``."""

from bench.clients.multitap_ollama import DISTRIBUTION, Sync

__all__ = ("DISTRIBUTION", "Sync")
