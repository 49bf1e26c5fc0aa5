"""One module per capability: its protocol, its request and its results.

A plugin implements the ones it has and knows nothing of the others. ``PROTOCOLS`` maps each name to
the class that a hook's result is checked against. Importing this package imports none of them.

What cuts across capabilities is in ``multitap.extensions``; ``EXTENSIONS`` has its groups.
"""

from __future__ import annotations

__all__ = ("API", "CAPABILITIES", "EXTENSIONS", "PROTOCOLS")

API = 1
"""The version of this contract; a plugin's ``provider.toml`` says which one it was written for."""

PROTOCOLS = {
    "chat": "ChatModel",
    "embedding": "EmbeddingModel",
    "rerank": "RerankModel",
    "tokenize": "Tokenizer",
    "transcription": "TranscriptionModel",
    "speech": "SpeechModel",
    "moderation": "ModerationModel",
    "image": "ImageModel",
    "catalog": "Catalog",
    "lifecycle": "Lifecycle",
    "provider": "Provider",
    "launcher": "Launcher",
}

CAPABILITIES: tuple[str, ...] = tuple(PROTOCOLS)
"""The names of all capabilities, in the order of the documentation."""

EXTENSIONS: dict[str, tuple[str, ...]] = {
    "extension": ("multitap_observer", "multitap_filter"),
    "command": ("multitap_command",),
}
"""The other entry-point groups, and the hooks that a module of each may have."""
