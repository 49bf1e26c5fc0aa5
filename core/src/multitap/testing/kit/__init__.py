"""The kit for plugin authors: one suite a capability, each a class of checks to inherit.

It needs pytest and hypothesis: ``pip install "multitap[testing]"``.
"""

from __future__ import annotations

from multitap.testing.kit.catalog import CatalogSuite
from multitap.testing.kit.chat import ChatSuite
from multitap.testing.kit.embedding import EmbeddingSuite
from multitap.testing.kit.image import ImageSuite
from multitap.testing.kit.launcher import LauncherSuite
from multitap.testing.kit.lifecycle import LifecycleSuite
from multitap.testing.kit.moderation import ModerationSuite
from multitap.testing.kit.provider import ProviderSuite
from multitap.testing.kit.rerank import RerankSuite
from multitap.testing.kit.rule import Broken, Rule, rule, rules_of
from multitap.testing.kit.speech import SpeechSuite
from multitap.testing.kit.subject import Subject
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.tokenize import TokenizeSuite
from multitap.testing.kit.transcription import TranscriptionSuite
from multitap.testing.kit.vector import Ask, Vector, load_vectors

__all__ = (
    "Ask",
    "Broken",
    "CatalogSuite",
    "ChatSuite",
    "EmbeddingSuite",
    "ImageSuite",
    "LauncherSuite",
    "LifecycleSuite",
    "ModerationSuite",
    "ProviderSuite",
    "RerankSuite",
    "Rule",
    "SpeechSuite",
    "Subject",
    "Suite",
    "TokenizeSuite",
    "TranscriptionSuite",
    "Vector",
    "load_vectors",
    "rule",
    "rules_of",
)
