"""Feature sets: ordered lists of extractors with parameters. The fingerprint of a set names its table."""

from __future__ import annotations

import hashlib
import json
import platform
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from viral.errors import ConfigError, WeightsError
from viral.extractors.extractor import Extractor
from viral.extractors.registry import extractor, parameters
from viral.extractors.spec import ExtractorSpec, Resolver, UnavailableExtractor
from viral.media.requests import Request
from viral.storage.store import one_line
from viral.weights.resolve import RANDOM, resolve_local

_CHEAP = ("metadata", "caption", "acoustics", "craft")
_FULL = (*_CHEAP, "resnet50", "r2plus1d", "ngrams")
FEATURE_SETS: Mapping[str, tuple[str, ...]] = {
    "words": ("metadata", "caption", "ngrams"),
    "light": (*_CHEAP, "efficientnet_lite0", "ngrams"),
    "full": _FULL,
    "full-bf16": _FULL,
    "sound": ("logmel",),
}
"""Extractors of the named sets. `words` needs no videos, `light` no downloads. `full` has larger networks, for images
and videos; `full-bf16` runs them in bfloat16, four times as fast on GPUs and on CPUs with AVX512-BF16 or AMX, at
slightly lower precision. `sound` is the input of the sound model."""

_PARAMETERS: Mapping[str, Mapping[str, str]] = {"caption": {"model": "multilingual-e5-small"}}
"""Parameters in the named sets that are not the defaults."""


class UnavailableWarning(UserWarning):
    """The weights of an optional extractor are unavailable, so all results lack its modality."""


@dataclass(frozen=True)
class ExtractorEntry:
    """An extractor of a set. Without weights, an `optional` one returns None per post; others raise WeightsError."""

    spec: ExtractorSpec
    optional: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the entry in its YAML form."""
        optional = {"optional": True} if self.optional else {}
        return {"name": self.spec.registry_name, "params": self.spec.params(), **optional}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any] | str) -> ExtractorEntry:
        """Create an entry from `{name, params, optional}` or from a name. Raises ConfigError."""
        values: dict[str, Any] = {"name": entry} if isinstance(entry, str) else dict(entry)
        _check_keys(values, ("name", "params", "optional"), "an extractor of a feature set")
        if "name" not in values:
            raise ConfigError("an extractor of a feature set needs a name")
        return cls(extractor(values["name"], values.get("params")), bool(values.get("optional", False)))


@dataclass(frozen=True)
class FeatureSet:
    """An ordered list of extractors. Only `build` loads weights or torch.

    `resolve` locates weights given by path or URI; it is not part of the set's identity.
    """

    name: str
    entries: tuple[ExtractorEntry, ...]
    resolve: Resolver = field(default=resolve_local, compare=False, repr=False)

    def __post_init__(self) -> None:
        names = [spec.name for spec in self.specs]
        if not names:
            raise ConfigError(f"the feature set {self.name!r} has no extractors")
        if len(set(names)) < len(names):
            raise ConfigError(f"the feature set {self.name!r} names an extractor twice: {', '.join(names)}")

    @classmethod
    def named(
        cls, name: str, *, weights: str | Mapping[str, str] | None = None, resolve: Resolver = resolve_local
    ) -> FeatureSet:
        """Create one of `FEATURE_SETS`.

        Args:
            name: the name of the set.
            weights: one value for all extractors with weights (for example `random`), or a mapping by extractor name.
            resolve: locates weights given by URI.

        Raises:
            ConfigError: no such set, or weights for an extractor that takes none.
        """
        if name not in FEATURE_SETS:
            raise ConfigError(f"no feature set is named {name!r}: choose from {', '.join(FEATURE_SETS)}")
        by_extractor = _weights_by_extractor(name, weights)
        entries = []
        for member in FEATURE_SETS[name]:
            params = dict(_PARAMETERS.get(member, {}))
            if member in by_extractor:
                params["weights"] = by_extractor[member]
            if name == "full-bf16" and "precision" in parameters(member):
                params["precision"] = "bfloat16"
            entries.append(ExtractorEntry(extractor(member, params)))
        # Named by it, so that no table of random weights is taken for a real one.
        return cls(f"{name}-{RANDOM}" if RANDOM in by_extractor.values() else name, tuple(entries), resolve)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, resolve: Resolver = resolve_local) -> FeatureSet:
        """Create a set from `{name, extractors: [{name, params, optional}]}`.

        An additional key `fingerprint` must match, as other code or weights would silently give different vectors.

        Raises:
            ConfigError: an unknown key, extractor or parameter, or another fingerprint.
        """
        _check_keys(values, ("name", "extractors", "fingerprint"), "a feature set")
        if not isinstance(values.get("name"), str) or not isinstance(values.get("extractors"), list | tuple):
            raise ConfigError("a feature set has the form {name: …, extractors: [{name: …, params: {…}}]}")
        feature_set = cls(values["name"], tuple(map(ExtractorEntry.from_dict, values["extractors"])), resolve)
        expected = values.get("fingerprint")
        if expected is not None and feature_set.fingerprint != expected:
            raise ConfigError(
                f"the feature set {feature_set.name} has the fingerprint {feature_set.fingerprint} here, but "
                f"{expected} where it was saved: use the same version of viral and the same weights"
            )
        return feature_set

    @classmethod
    def load(cls, path: Path, *, resolve: Resolver = resolve_local) -> FeatureSet:
        """Read a set from a YAML file. Raises ConfigError."""
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"cannot read the feature set {path}: {one_line(error)}") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{path} is not a feature set: it needs name and extractors")
        return cls.from_dict(values, resolve=resolve)

    def to_dict(self) -> dict[str, Any]:
        """Return the set in its YAML or JSON form, with its fingerprint."""
        extractors = [entry.to_dict() for entry in self.entries]
        return {"name": self.name, "extractors": extractors, "fingerprint": self.fingerprint}

    def with_resolve(self, resolve: Resolver) -> FeatureSet:
        """Return the same set with another resolver of weights."""
        return replace(self, resolve=resolve)

    @property
    def specs(self) -> tuple[ExtractorSpec, ...]:
        """The extractor specs, in order."""
        return tuple(entry.spec for entry in self.entries)

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """Per extractor, the hash of its name, version and parameters, with weights identified by content.

        Raises:
            WeightsError: weights given by path or URI cannot be read, and the extractor is not optional.
        """
        return {entry.spec.name: _fingerprint(self._identity(entry)) for entry in self.entries}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all extractors in order, as twelve hexadecimal digits. Raises WeightsError as `fingerprints` does."""
        # In order: the same extractors in another order are another set.
        return _fingerprint(list(self.fingerprints.items()))

    @property
    def table(self) -> str:
        """Name of the feature table."""
        return f"features/{self.name}-{self.fingerprint}"

    @property
    def dims(self) -> dict[str, int]:
        """The vector length of each extractor, by name, in order."""
        return {spec.name: spec.dim for spec in self.specs}

    @property
    def modalities(self) -> dict[str, str]:
        """The modality of each extractor, by name, in order."""
        return {spec.name: spec.modality for spec in self.specs}

    @property
    def noted_extractors(self) -> tuple[str, ...]:
        """The names of the extractors that return notes, in order."""
        return tuple(spec.name for spec in self.specs if spec.has_note)

    @property
    def requests(self) -> tuple[Request, ...]:
        """The distinct media requests of all extractors."""
        return tuple(dict.fromkeys(request for spec in self.specs for request in spec.needs))

    def unavailable(self) -> dict[str, str]:
        """Return the extractors whose weights are unavailable here, each with the reason and the fix."""
        reasons = {}
        for spec in self.specs:
            try:
                spec.check(self.resolve)
            except WeightsError as error:
                reasons[spec.name] = str(error)
        return reasons

    def check_fingerprints(self) -> None:
        """Check that this machine's weights match the fingerprints, as one table must not mix different vectors.

        Raises:
            WeightsError: the weights differ, or are unavailable here.
        """
        for entry in self.entries:
            if _fingerprint(self._identity(entry)) != self.fingerprints[entry.spec.name]:
                raise WeightsError(
                    f"the weights of {entry.spec.name} on {platform.node()} differ from those where the job was "
                    "started: put them into the root (viral weights fetch or put, with --root)"
                )

    def build(self, *, device: str = "cpu") -> list[Extractor]:
        """Load the extractors, in order, with their networks on `device`.

        Warns:
            UnavailableWarning: an optional extractor has no weights here; it returns None for every post.

        Raises:
            WeightsError: another extractor has no weights here.
        """
        return [self._build(entry, device) for entry in self.entries]

    def _build(self, entry: ExtractorEntry, device: str) -> Extractor:
        try:
            return entry.spec.build(device, self.resolve)
        except WeightsError as error:
            if not entry.optional:
                raise
            warnings.warn(f"{entry.spec.name} is missing: {error}", UnavailableWarning, stacklevel=3)
            return UnavailableExtractor(entry.spec, str(error))

    def _identity(self, entry: ExtractorEntry) -> dict[str, Any]:
        spec = entry.spec
        try:
            if entry.optional:
                spec.check(self.resolve)  # without weights, the fingerprint covers "missing"
            params = spec.identity(self.resolve)
        except WeightsError:
            if not entry.optional:
                raise
            params = spec.params() | {"weights": "missing"}
        return {"name": spec.name, "version": spec.version, "params": params}

    def __str__(self) -> str:
        return f"{self.name}-{self.fingerprint} ({', '.join(f'{s.name} {s.version}' for s in self.specs)})"


def _weights_by_extractor(name: str, weights: str | Mapping[str, str] | None) -> dict[str, str]:
    allowed = [member for member in FEATURE_SETS[name] if "weights" in parameters(member)]
    if weights is None:
        return {}
    if not allowed:
        raise ConfigError(f"the feature set {name!r} has no extractor that takes weights")
    if isinstance(weights, str):
        return dict.fromkeys(allowed, weights)
    _check_keys(weights, allowed, f"the weights of the feature set {name!r}")
    return dict(weights)


def _check_keys(values: Mapping[str, Any], allowed: Sequence[str], what: str) -> None:
    if unknown := sorted(set(values) - set(allowed)):
        raise ConfigError(f"{what} has no {unknown[0]!r}: choose from {', '.join(allowed)}")


def _fingerprint(value: object) -> str:
    # One spelling for equal values, so that the hash is the same on every machine.
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
