"""MLflow, reached such that it tells nobody of its use, gives up in time, and fails in one line."""

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
def connect(uri: str, otherwise: str) -> Iterator[MlflowClient]:
    """MLflow at the address of a server or of a database.

    Args:
        uri: the address.
        otherwise: what it means for the user where MLflow fails; the error says it before MLflow's own words.

    Raises:
        ConfigError: MLflow fails.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # else it tells its makers of every use
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # seven take minutes
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    try:
        yield MlflowClient(uri)
    except (MlflowException, SQLAlchemyError) as error:
        raise ConfigError(f"{otherwise}: {one_line(error).replace(uri, shown(uri))}") from error


def redact(uri: str) -> str:
    """An address as it may be shown: without the password in it."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", uri)
