"""What a check found: what was expected, what came, and the smallest input that shows it."""

from __future__ import annotations

__all__ = ("Finding",)


class Finding(AssertionError):
    """A promise that is not kept, taken apart so that whoever reports it can say more.

    Attributes:
        expected: What should have come, in words or as it is.
        came: What came instead.
        smallest: The smallest input that shows it; empty where there is none.
    """

    def __init__(self, came: object, *, expected: object = "", smallest: object = "") -> None:
        super().__init__(came, expected, smallest)
        self.expected, self.came, self.smallest = expected, came, smallest

    def __str__(self) -> str:
        rows = {"input": self.smallest, "expected": self.expected, "came": self.came}
        return "\n".join(f"{name}: {value}" for name, value in rows.items() if value != "")
