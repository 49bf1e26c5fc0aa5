"""The kit for plugin authors: one suite a capability, each a class of checks to inherit.

It needs pytest and hypothesis: ``pip install "multitap[testing]"``.
"""

from __future__ import annotations

from multitap.testing.kit.chat import ChatSuite
from multitap.testing.kit.embedding import EmbeddingSuite
from multitap.testing.kit.rule import Broken, Rule, rule, rules_of
from multitap.testing.kit.subject import Subject
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.vector import Ask, Vector, load_vectors

__all__ = (
    "Ask",
    "Broken",
    "ChatSuite",
    "EmbeddingSuite",
    "Rule",
    "Subject",
    "Suite",
    "Vector",
    "load_vectors",
    "rule",
    "rules_of",
)
