"""Copy the models of a root to MLflow: runs, curves, metrics, registered versions and the champion's alias.

The root's files are authoritative, and `viral models sync` brings MLflow up to date with them: neither training nor
promotion needs MLflow, and a sync repairs a server that was down or a deleted database.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
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
SYNCED_FILES = ("model.json", "scorecard.json")  # of each version; a change of them, or a promotion, needs a sync


@dataclass(frozen=True)
class SyncResult:
    """Address of MLflow, and number of newly registered versions."""

    mlflow: str
    registered: int = 0


def sync_to_mlflow(store: Store, uri: str | None = None) -> SyncResult:
    """Bring MLflow up to date with the models of a root.

    Args:
        store: the root.
        uri: a server or a database; None: `mlflow.db` in a root that is a folder. This file is opened only if a model,
            scorecard or promotion has changed, as importing MLflow takes seconds.

    Raises:
        ConfigError: MLflow fails, the database cannot be written, or a model of another root has the same name.
    """
    if uri is not None:
        return SyncResult(redact(uri), _run(store, uri, None))
    if store.on_s3:
        raise ConfigError(f"SQLite cannot write {DATABASE} on S3: name a server with --mlflow URI")
    database = Path(store.path(DATABASE))
    if not _writable(database):
        raise ConfigError(f"{database} cannot be written: name a server with --mlflow URI")
    address = f"sqlite:///{quote(str(database))}"
    with _exclusive(store):
        state = _state(store)
        # Nothing has changed since the last sync: MLflow is not even imported, which takes seconds.
        if _read_state(database) == state:
            return SyncResult(address)
        registered = _run(store, address, store.uri("mlflow"))
        _write_state(database, state)
    return SyncResult(address, registered)


def _run(store: Store, address: str, artifacts: str | None) -> int:
    with connect(address, f"MLflow at {redact(address)} is not up to date") as client:
        return _Sync(store, client, artifacts).run()


@dataclass
class _Sync:
    """One pass over the models; `artifacts`: location of a new experiment's artifacts, for the root's own database."""

    store: Store
    client: MlflowClient
    artifacts: str | None

    def run(self) -> int:
        """Register new versions and log changed metrics; returns the number of new versions."""
        registry = Registry(self.store)
        return sum(self._sync_model(registry, name) for name in registry.names())

    def _sync_model(self, registry: Registry, name: str) -> int:
        # By the address of the files: MLflow's own numbers start at 1 again in a new database.
        registered = {version.tags.get(ADDRESS_TAG, ""): version for version in self._versions(name)}
        new = 0
        for number in registry.versions(name):
            address = self.store.uri(registry.prefix(name, number))
            if address not in registered:
                card, first = registry.card(name, number), not registered
                registered[address] = self._register(name, number, address, card, first=first)
                new += 1
            self._log_metrics(registered[address], name, number)
        self._set_champion(name, registered)
        return new

    def _versions(self, name: str) -> Iterator[ModelVersion]:
        token = None
        # MLflow returns pages; the last one has no token.
        while token is None or token:
            page = self.client.search_model_versions(f"name='{name}'", page_token=token)
            yield from page
            token = page.token or ""

    @cached_property
    def _runs(self) -> dict[str, str]:
        """Existing runs by the address of their model; trainings with --mlflow have logged theirs."""
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        runs: dict[str, str] = {}
        token = None
        while experiment and (token is None or token):
            page = self.client.search_runs([experiment.experiment_id], page_token=token)
            runs |= {run.data.tags[ADDRESS_TAG]: run.info.run_id for run in page if ADDRESS_TAG in run.data.tags}
            token = page.token or ""
        return runs

    def _register(self, name: str, number: int, address: str, card: dict[str, Any], *, first: bool) -> ModelVersion:
        model = f"{name}/{number}"
        if first and not self.client.search_registered_models(f"name='{name}'"):
            self.client.create_registered_model(name)
        # A training with --mlflow has logged its run already.
        run = self._runs.get(address) or log_run(self.client, model, address, card, self.artifacts)
        # A server rejects local paths as the source of a model, but the tag has the address.
        source = address if self.store.on_s3 else f"runs:/{run}/model"
        return self.client.create_model_version(name, source, run, tags={"model": model, ADDRESS_TAG: address})

    def _log_metrics(self, version: ModelVersion, name: str, number: int) -> None:
        from mlflow.entities import Metric

        metrics = {
            f"test/{metric}": estimate.value for metric, estimate in read_metrics(self.store, name, number).items()
        }
        run = str(version.run_id)
        logged = self.client.get_run(run).data.metrics if metrics else {}
        # Only changed values: MLflow would keep every log of the same metric.
        new = [
            Metric(key, value, 0, 0) for key, value in metrics.items() if value is not None and logged.get(key) != value
        ]
        if new:
            self.client.log_batch(run, metrics=new)

    def _set_champion(self, name: str, registered: dict[str, ModelVersion]) -> None:
        promotion = latest_promotion(self.store, name)
        if promotion is None:
            return
        address = self.store.uri(Registry.prefix(name, promotion.version))
        version = registered[address].version
        current = self.client.get_registered_model(name).aliases.get(CHAMPION)
        if current == version:
            return
        owner = next((uri for uri, version in registered.items() if version.version == current), address)
        # On a shared server, two roots with models of one name would take the alias from each other.
        if self.artifacts is None and not owner.startswith(f"{self.store.root}/"):
            raise ConfigError(
                f"MLflow's alias {CHAMPION} of {name} belongs to {owner}: use another server for another root"
            )
        self.client.set_registered_model_alias(name, CHAMPION, version)
        self.client.set_model_version_tag(name, version, "promotion", json.dumps(promotion.to_dict()))


@contextmanager
def _exclusive(store: Store) -> Iterator[None]:
    """Lock the root, so that concurrent syncs do not create the database or register a model twice."""
    # The folder itself is locked, so that no lock file stays behind.
    folder = os.open(store.root, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _state(store: Store) -> int:
    """Return a positive 31-bit checksum of the files to sync, for SQLite's `user_version`; 0 without files."""
    keys = (
        info.key for info in store.objects("models") if info.key.endswith(SYNCED_FILES) or "/promotions/" in info.key
    )
    changed = [(key, Path(store.path(key)).stat().st_mtime_ns) for key in sorted(keys)]
    # Never 0, which is the value of a database that was never synced.
    return zlib.crc32(repr((store.root, changed)).encode()) >> 1 | 1 if changed else 0


def _read_state(database: Path) -> int:
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _write_state(database: Path, state: int) -> None:
    with closing(sqlite3.connect(database)) as connection:
        # SQLite keeps this number for applications; MLflow does not use it.
        connection.execute(f"PRAGMA user_version = {state}")


def _writable(database: Path) -> bool:
    """Whether the database can be created or written; if not, MLflow would retry for minutes."""
    return not database.is_dir() and os.access(database if database.exists() else database.parent, os.W_OK)
