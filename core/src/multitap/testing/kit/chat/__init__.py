"""The rules of chat."""

from __future__ import annotations

from typing import ClassVar

from multitap.testing.kit.chat.answering import Answering
from multitap.testing.kit.chat.asking import Asking
from multitap.testing.kit.chat.decoding import Decoding
from multitap.testing.kit.chat.history import History
from multitap.testing.kit.chat.leaving import Leaving
from multitap.testing.kit.chat.refusing import Refusing

__all__ = ("ChatSuite",)


class ChatSuite(History, Asking, Leaving, Answering, Refusing, Decoding):
    """What a chat plugin promises."""

    capability: ClassVar[str] = "chat"
