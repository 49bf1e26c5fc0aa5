"""Provider: is the endpoint right, is the key good, and what is left of it?"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

import attrs

from multitap.work import Work

__all__ = ("Provider", "Validation")


@attrs.frozen(kw_only=True)
class Validation:
    """What a backend says of itself and of the key; ``None`` is unknown, never zero.

    Attributes:
        server: Name and version of what answered, such as ``Acme 1.4``.
        account: Whose key it is, as the backend names it; never the key.
        expires_at: When the key ends, with its time zone.
        limit: Most that the account may use, in ``unit``.
        remaining: What is left of it.
        unit: Of ``limit`` and ``remaining``: ``USD``, ``tokens``, ``requests``.
        models: How many models the key may use.
    """

    server: str | None = None
    account: str | None = None
    expires_at: datetime | None = None
    limit: float | None = None
    remaining: float | None = None
    unit: str | None = None
    models: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: what is known.

        >>> Validation(server="Acme 1.4", remaining=0.0, unit="USD").to_dict()
        {'server': 'Acme 1.4', 'remaining': 0.0, 'unit': 'USD'}
        """
        facts: dict[str, Any] = attrs.asdict(self)
        if self.expires_at is not None:
            facts["expires_at"] = self.expires_at.isoformat()
        return {name: value for name, value in facts.items() if value is not None}


class Provider(Protocol):
    """Implemented by a plugin; stateless and safe to share between threads."""

    def validate(self, model: str | None, /) -> Work[Validation]:
        """Prove the endpoint and the key, and the model if one is named; with one result.

        A refusal is the typed error: ``ProviderDown``, ``AuthenticationError``, ``QuotaExceeded``,
        ``ModelNotFound``.
        """
        ...
