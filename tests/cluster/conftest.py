"""Shared by the tests of clusters."""

from __future__ import annotations

import pytest

from cluster.local.hosts import check_machine
from viral.errors import ConfigError


@pytest.fixture(scope="session")
def machine() -> None:
    """A machine that lets us make hosts."""
    try:
        check_machine()
    except ConfigError as error:
        pytest.skip(str(error))
