"""A clock that goes only when a test says so."""


class FakeClock:
    """Seconds; ``draw`` beside it always gives a half."""

    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now

    def pass_(self, seconds):
        self.now += seconds


def half():
    return 0.5
