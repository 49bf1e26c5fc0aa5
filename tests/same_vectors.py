"""One encoder behind several servers gives the same vectors."""

from __future__ import annotations

import numpy as np

TOLERANCE = 1e-2
TEXTS = [
    "the little cat sat",
    "a red ball",
    "Hello, wörld! 12",
    "x",
    "unaffable snow-white café",
]


def assert_same_vectors(found, other, tolerance=TOLERANCE):
    """Number by number, and by the angle between the vectors of each text."""
    ours, theirs = np.asarray(found.vectors), np.asarray(other.vectors)
    np.testing.assert_allclose(ours, theirs, atol=tolerance)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    np.testing.assert_allclose((ours * theirs).sum(axis=1) / lengths, 1.0, atol=tolerance)
    assert found.normalized
    assert other.normalized
    assert np.abs(ours[0] - theirs[1]).max() > 10 * tolerance  # another text has another vector
