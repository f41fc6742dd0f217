from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, RobustScaler

COUNTS = {"likes": 0.4, "views": 0.3, "shares": 0.2, "comments": 0.1}


def test_raw_by_hand(label, make):
    posts = make(views=[1000, 10], likes=[100, 5], comments=[10, 0], shares=[20, 1])
    _, labelled = label("engagement_weighted_raw", posts)
    assert labelled.target == pytest.approx([40 + 300 + 4 + 1, 2 + 3 + 0.2])


def test_robust_by_hand(label, make):
    # e^k - 1 has log1p k. Views: median 3, quartiles 2 and 4. The other counts never vary and are divided by 1.
    steps = [round(np.expm1(k) * 1e6) for k in (1, 2, 3, 4, 5)]
    posts = make(views=steps, likes=[7] * 5, comments=[0] * 5, shares=[1] * 5)
    fitted, labelled = label("engagement_weighted", posts)
    assert fitted.parameters["likes_spread"] == 1.0
    logs = np.log1p(steps)
    assert labelled.target == pytest.approx((logs - logs[0]) / (logs[-1] - logs[0]))


def test_robust_is_what_scikit_learn_computes(label, make):
    train, rng = np.arange(1000) < 700, np.random.default_rng(0)
    views = rng.lognormal(9, 2, 1000)
    shares = {"views": 1.0, "likes": 0.1, "comments": 0.01, "shares": 0.002}  # most posts have few shares, or none
    posts = make(**{name: (views * share * rng.lognormal(0, 1, 1000)).astype(int) for name, share in shares.items()})
    _, labelled = label("engagement_weighted", posts, train=train)
    total = np.zeros(1000)
    for name, weight in COUNTS.items():
        logs = np.log1p(posts[name].to_numpy().astype(float))[:, None]
        total += weight * RobustScaler().fit(logs[train]).transform(logs)[:, 0]
    expected = MinMaxScaler().fit(total[train, None]).transform(total[:, None])[:, 0]
    assert labelled.target == pytest.approx(expected, abs=1e-12)
