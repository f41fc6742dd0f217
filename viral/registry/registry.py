"""Registry of models in the root, at `models/<name>/<version>/`; versions are immutable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from viral.errors import TableError
from viral.registry.promotions import CHAMPION, latest_promotion
from viral.storage.store import Store, read_json
from viral.tables.places import check_name

_CARD = "model.json"  # written last: a version without it is incomplete, and ignored
_WEIGHTS = "model.safetensors"
_DIGEST = "weights_sha256"
SAVED_AT = "saved_at"


@dataclass(frozen=True)
class ModelVersion:
    """A saved model: its card (plain JSON), weights (safetensors) and store."""

    name: str
    version: int
    card: dict[str, Any]
    weights: bytes
    store: Store | None = None

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"

    @property
    def prefix(self) -> str:
        """Key prefix of the version's files."""
        return Registry.prefix(self.name, self.version)


class Registry:
    """Models of one root."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def names(self) -> list[str]:
        """List the names of all models, sorted."""
        # One listing of the whole folder; only versions with a card exist.
        cards = (info.key.split("/") for info in self.store.objects("models") if info.key.endswith(f"/{_CARD}"))
        return sorted({parts[1] for parts in cards})

    def versions(self, name: str) -> list[int]:
        """List the complete versions of a model, oldest first."""
        keys = (info.key.split("/") for info in self.store.objects(f"models/{check_name(name)}"))
        return sorted(int(parts[2]) for parts in keys if parts[-1] == _CARD)

    def claim(self, name: str) -> int:
        """Reserve the next version; concurrent callers get different ones. It does not exist until it is saved."""
        version = max(self.versions(name), default=0) + 1
        # Another process may have claimed the number between the listing and the write.
        while not self.store.write_new(self.key(name, version, "claimed"), b""):
            version += 1
        return version

    def save(
        self,
        name: str,
        card: dict[str, Any],
        weights: bytes,
        *,
        version: int | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> int:
        """Save card, weights and further files as a claimed version or the next one; returns the version.

        The SHA-256 of the weights and the time of saving (UTC) are added to the card.
        """
        version = version or self.claim(name)
        saved_at = datetime.now(UTC).isoformat(timespec="seconds")
        card = card | {_DIGEST: hashlib.sha256(weights).hexdigest(), SAVED_AT: saved_at}
        # The card comes last: a version whose saving was interrupted has none, and is no version.
        for file, data in (files or {}).items():
            self.store.write(self.key(name, version, file), data)
        self.store.write(self.key(name, version, _WEIGHTS), weights)
        self.store.write(self.key(name, version, _CARD), json.dumps(card, indent=1, sort_keys=True).encode())
        return version

    def load(self, reference: str) -> ModelVersion:
        """Load a model by reference (see `resolve`).

        Raises:
            TableError: the model does not exist, or its weights are damaged.
        """
        name, version = self.resolve(reference)
        card = self.card(name, version)
        weights = self.store.read(self.key(name, version, _WEIGHTS))
        digest = hashlib.sha256(weights).hexdigest()
        # Cards of early versions have no digest.
        if card.get(_DIGEST, digest) != digest:
            uri = self.store.uri(self.key(name, version, _WEIGHTS))
            raise TableError(
                f"the weights of model {name}/{version} are damaged (SHA-256 {digest[:12]}…): restore {uri} from a "
                "backup, or train again"
            )
        return ModelVersion(name, version, card, weights, self.store)

    def resolve(self, reference: str) -> tuple[str, int]:
        """Find name and version of `name` (its newest version), `name/version` or `name@champion`.

        Raises:
            TableError: the model does not exist.
        """
        name, has_alias, alias = reference.partition("@")
        name, _, number = (name, "", "") if has_alias else reference.partition("/")
        versions = self.versions(name)
        if not versions:
            names = ", ".join(self.names())
            hint = f"there are {names}" if names else "train one first (viral train)"
            raise TableError(f"there is no model {name} in {self.store.root}: {hint}")
        if has_alias:
            number = self._champion(name, alias)
        # Without a number, the newest version.
        version = int(number) if number.isdecimal() else versions[-1]
        if version not in versions or (number and not number.isdecimal()):
            raise TableError(f"model {name} has no version {number}: there are {', '.join(map(str, versions))}")
        return name, version

    def card(self, name: str, version: int) -> dict[str, Any]:
        """Read the card of an existing version."""
        card = read_json(self.store, self.key(name, version, _CARD))
        assert card is not None, "versions are never deleted"
        return card

    def _champion(self, name: str, alias: str) -> str:
        if alias != CHAMPION:
            raise TableError(f"model {name} has no alias {alias!r}: there is {name}@{CHAMPION}")
        promotion = latest_promotion(self.store, name)
        if promotion is None:
            raise TableError(f"model {name} has no champion: promote a version (viral models promote {name}/VERSION)")
        return str(promotion.version)

    @staticmethod
    def prefix(name: str, version: int) -> str:
        """Return the key prefix of a version's files."""
        return f"models/{check_name(name)}/{version:04d}"

    @staticmethod
    def key(name: str, version: int, file: str) -> str:
        """Return the key of a version's file."""
        return f"{Registry.prefix(name, version)}/{file}"
