"""The rows that the tests of models use, too."""

from tests.models.conftest import make_rows, streams

__all__ = ["make_rows", "streams"]
