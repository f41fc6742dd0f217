from __future__ import annotations

import numpy as np

from viral.labels import log_rates


def test_log_rates(make):
    rates = log_rates(make(views=[99, 0, None], likes=[9, 3, 1], comments=[0, None, 1], shares=[99, 0, 1]))
    assert list(rates) == ["likes", "comments", "shares"]
    expected = {
        "likes": [np.log(0.1), np.log(4), np.nan],
        "comments": [-np.log(100), np.nan, np.nan],
        "shares": [0.0, 0.0, np.nan],
    }
    for name, values in rates.items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, expected[name], rtol=1e-6)
