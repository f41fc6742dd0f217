"""The models of a root as MLflow shows them: runs, curves, figures, registered versions and the alias of the champion.

The root's own files are what counts. MLflow is brought up to date with them whenever `viral models` runs, so that
training needs no MLflow, and one that was down, or deleted, catches up.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from viral.errors import ConfigError
from viral.evaluation.scorecard import read_metrics
from viral.registry.promotions import CHAMPION, latest_promotion
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tracking.curves import ADDRESS_TAG, EXPERIMENT, log_run
from viral.tracking.mlflow_client import connect, redact

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

DATABASE = "mlflow.db"
SYNCED_FILES = ("model.json", "scorecard.json")  # of a version's files, and all promotions: what MLflow is told of
NO_MLFLOW = "none: SQLite cannot lie on S3; --mlflow URI names a server"


@dataclass(frozen=True)
class SyncResult:
    """Where MLflow is, or why there is none, and how many versions were new to it."""

    mlflow: str
    registered: int = 0


def sync_to_mlflow(store: Store, uri: str | None = None) -> SyncResult:
    """Bring MLflow up to date with the models of a root.

    Args:
        store: the root.
        uri: a server or a database; None: `mlflow.db` in the root, where that is a folder. That one is opened only if
            a model, a scorecard or a promotion has changed since: MLflow takes seconds to import.

    Raises:
        ConfigError: MLflow fails, or another root's model has the name there.
    """
    if uri is None and store.on_s3:
        return SyncResult(NO_MLFLOW)
    if uri is not None:
        return SyncResult(redact(uri), _run(store, uri, None))
    database = Path(store.path(DATABASE))
    address = f"sqlite:///{quote(str(database))}"
    if not _writable(database):
        return SyncResult(f"none: {database} cannot be written; --mlflow URI names a server")
    with _exclusive(store):
        state = _state(store)
        if _read_state(database) == state:
            return SyncResult(address)
        registered = _run(store, address, store.uri("mlflow"))
        _write_state(database, state)
    return SyncResult(address, registered)


def _run(store: Store, address: str, artifacts: str | None) -> int:
    with connect(address, f"MLflow at {shown(address)} is not told of the models") as client:
        return _Mirror(store, client, artifacts).run()


@dataclass
class _Mirror:
    """One pass over the models. `artifacts` is given for the root's own database."""

    store: Store
    client: MlflowClient
    artifacts: str | None

    def run(self) -> int:
        """Register what is new, and log what has changed; how many versions were new."""
        registry = Registry(self.store)
        return sum(self._model(registry, name) for name in registry.names())

    def _model(self, registry: Registry, name: str) -> int:
        there = {version.tags.get(ADDRESS_TAG, ""): version for version in self._versions(name)}
        new = 0
        for number in registry.versions(name):
            address = self.store.uri(registry.folder(name, number))
            if address not in there:
                there[address] = self._register(name, number, address, registry.card(name, number), first=not there)
                new += 1
            self._log_figures(there[address], name, number)
        self._set_champion(name, there)
        return new

    def _versions(self, name: str) -> Iterator[ModelVersion]:
        token = None
        while token is None or token:
            page = self.client.search_model_versions(f"name='{name}'", page_token=token)
            yield from page
            token = page.token or ""

    @cached_property
    def _runs(self) -> dict[str, str]:
        """The runs that are there, by the address of their model: a training with --mlflow has logged its own."""
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        found: dict[str, str] = {}
        token = None
        while experiment and (token is None or token):
            page = self.client.search_runs([experiment.experiment_id], page_token=token)
            found |= {run.data.tags[ADDRESS_TAG]: run.info.run_id for run in page if ADDRESS_TAG in run.data.tags}
            token = page.token or ""
        return found

    def _register(self, name: str, number: int, address: str, card: dict[str, Any], *, first: bool) -> ModelVersion:
        model = f"{name}/{number}"
        if first and not self.client.search_registered_models(f"name='{name}'"):
            self.client.create_registered_model(name)
        run = self._runs.get(address) or log_run(self.client, model, address, card, self.artifacts)
        # A server refuses paths of its clients as the source of a model: the tag says where it is.
        source = address if self.store.on_s3 else f"runs:/{run}/model"
        return self.client.create_model_version(name, source, run, tags={"model": model, ADDRESS_TAG: address})

    def _log_figures(self, version: ModelVersion, name: str, number: int) -> None:
        from mlflow.entities import Metric

        told = {f"test/{figure}": each.value for figure, each in read_metrics(self.store, name, number).items()}
        run = str(version.run_id)
        known = self.client.get_run(run).data.metrics if told else {}
        new = [Metric(key, value, 0, 0) for key, value in told.items() if value is not None and known.get(key) != value]
        if new:
            self.client.log_batch(run, metrics=new)

    def _set_champion(self, name: str, there: dict[str, ModelVersion]) -> None:
        promoted = latest_promotion(self.store, name)
        if promoted is None:
            return
        address = self.store.uri(Registry.folder(name, promoted.version))
        before = self.client.get_registered_model(name).aliases.get(CHAMPION)
        if before == there[address].version:
            return
        held = next((at for at, version in there.items() if version.version == before), address)
        if self.artifacts is None and not held.startswith(f"{self.store.root}/"):
            raise ConfigError(
                f"MLflow's alias {CHAMPION} of {name} belongs to {held}: use another server for another root"
            )
        self.client.set_registered_model_alias(name, CHAMPION, there[address].version)
        self.client.set_model_version_tag(name, there[address].version, "promotion", json.dumps(asdict(promoted)))


@contextmanager
def _exclusive(store: Store) -> Iterator[None]:
    """One at a time: two would make the database at once, or register a model twice. The lock ends with its process."""
    folder = os.open(store.root, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _state(store: Store) -> int:
    """What MLflow is to know of a folder's models, as a number that SQLite can note: 0, as a new one has, for none."""
    told = (
        info.key for info in store.objects("models") if info.key.endswith(SYNCED_FILES) or "/promotions/" in info.key
    )
    changed = [(key, Path(store.path(key)).stat().st_mtime_ns) for key in sorted(told)]
    return zlib.crc32(repr((store.root, changed)).encode()) >> 1 | 1 if changed else 0


def _read_state(database: Path) -> int:
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _write_state(database: Path, state: int) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA user_version = {state}")


def _writable(database: Path) -> bool:
    """Whether the database can be made or written: MLflow would try for minutes."""
    return not database.is_dir() and os.access(database if database.exists() else database.parent, os.W_OK)
