"""Weights of posts by their authors: ten posts of one author say less than ten posts of ten."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def author_weights(errors: Floats, authors: Ints) -> Floats:
    """Weight of each post (N,): 1 / (1 + (n - 1) r) for one of n posts of an author, r the correlation within authors.

    An author's posts together then count as often as they are independent: n times if r is 0, once if r is 1. The sum
    of the weights is the effective number of posts. The correlation is the one-way analysis of variance's of the
    errors. Source: Kish 1965, Survey Sampling (design effect).
    """
    _, codes = np.unique(authors, return_inverse=True)
    sizes = np.bincount(codes)
    within = _correlation(errors, codes, sizes)
    return np.asarray(1 / (1 + (sizes[codes] - 1) * within))


def _correlation(errors: Floats, codes: Ints, sizes: Ints) -> float:
    posts, authors = len(errors), len(sizes)
    # One post each, or one author alone: nothing tells authors from posts; the careful answer is that authors count.
    if authors in (1, posts):
        return 1.0
    means = np.bincount(codes, errors) / sizes
    between = float((sizes * (means - errors.mean()) ** 2).sum()) / (authors - 1)
    inside = float(((errors - means[codes]) ** 2).sum()) / (posts - authors)
    typical = (posts - float((sizes**2).sum()) / posts) / (authors - 1)
    total = between + (typical - 1) * inside
    return float(np.clip((between - inside) / total, 0, 1)) if total > 0 else 1.0
