"""Fewer trees for tests in which their number is not the point."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from viral.models.ensemble import trees


@contextmanager
def few_trees() -> Iterator[None]:
    """Boosting tries three settings instead of ten, and a forest has 40 trees instead of 200."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "TRIALS", 3)
        patch.setattr(trees, "AVERAGED", 2)
        patch.setattr(trees, "FOREST_TREES", 40)
        yield
