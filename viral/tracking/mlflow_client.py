"""MLflow client: telemetry off, short retries, one-line errors."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from viral.errors import ConfigError
from viral.storage.store import one_line

if TYPE_CHECKING:
    from mlflow import MlflowClient


@contextmanager
def connect(uri: str, consequence: str) -> Iterator[MlflowClient]:
    """Open a client of a tracking server or database.

    Raises:
        ConfigError: MLflow fails; the message starts with the `consequence` for the user.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # by default MLflow sends usage data to its vendor
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # the default of seven takes minutes
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    try:
        yield MlflowClient(uri)
    except (MlflowException, SQLAlchemyError) as error:
        raise ConfigError(f"{consequence}: {one_line(error).replace(uri, redact(uri))}") from error


def redact(uri: str) -> str:
    """Mask the password in an address."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", uri)
