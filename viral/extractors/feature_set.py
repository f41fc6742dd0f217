"""A feature set: an ordered list of extractors with their parameters. Its fingerprint names its table."""

from __future__ import annotations

import hashlib
import json
import platform
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from viral.errors import ConfigError, WeightsError
from viral.extractors.extractor import Extractor
from viral.extractors.registry import extractor, parameters
from viral.extractors.spec import ExtractorSpec, Resolve, UnavailableExtractor
from viral.media.requests import Request
from viral.weights.resolve import RANDOM, local_file

_LIGHT = ("metadata", "caption", "acoustics", "craft")
_FULL = (*_LIGHT, "resnet50", "r2plus1d")
FEATURE_SETS: Mapping[str, tuple[str, ...]] = {
    "words": ("metadata", "caption"),
    "light": _LIGHT,
    "full": _FULL,
    "full-bf16": _FULL,
    "sound": ("logmel",),
}
"""The named sets: `words` needs no videos, `light` no download, `full` looks at the pictures too, `full-bf16` with its
networks in bfloat16: four times as fast where the processor has AVX512-BF16 or AMX, and on GPUs, with vectors a little
coarser. `sound` is what the model of that name hears."""


class UnavailableWarning(UserWarning):
    """The weights of an optional extractor cannot be had: its modality is missing from all that follows."""


@dataclass(frozen=True)
class Entry:
    """One extractor of a set. An `optional` one may do without its weights: then its modality is missing."""

    spec: ExtractorSpec
    optional: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As it is written in YAML."""
        optional = {"optional": True} if self.optional else {}
        return {"name": self.spec.registered, "params": self.spec.params(), **optional}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any] | str) -> Entry:
        """From `{name, params, optional}`, or from a name alone. Raises ConfigError."""
        given: dict[str, Any] = {"name": entry} if isinstance(entry, str) else dict(entry)
        _refuse_unknown(given, ("name", "params", "optional"), "an extractor of a feature set")
        if "name" not in given:
            raise ConfigError("an extractor of a feature set needs a name")
        return cls(extractor(given["name"], given.get("params")), bool(given.get("optional", False)))


@dataclass(frozen=True)
class FeatureSet:
    """An ordered list of extractors. Everything but `build` works without loading weights or torch.

    `resolve` fetches weights that are given by path or URI; it is no part of the set's identity.
    """

    name: str
    entries: tuple[Entry, ...]
    resolve: Resolve = field(default=local_file, compare=False, repr=False)

    def __post_init__(self) -> None:
        names = [spec.name for spec in self.specs]
        if not names:
            raise ConfigError(f"the feature set {self.name!r} has no extractors")
        if len(set(names)) < len(names):
            raise ConfigError(f"the feature set {self.name!r} names an extractor twice: {', '.join(names)}")

    @classmethod
    def named(
        cls, name: str, *, weights: str | Mapping[str, str] | None = None, resolve: Resolve = local_file
    ) -> FeatureSet:
        """One of `FEATURE_SETS`.

        Args:
            name: the name of the set.
            weights: for the extractors that take weights: one value for all (`random`, say), or one each by name.
            resolve: fetches weights given by URI.

        Raises:
            ConfigError: no such set, or weights for an extractor that takes none.
        """
        if name not in FEATURE_SETS:
            raise ConfigError(f"no feature set is named {name!r}: choose from {', '.join(FEATURE_SETS)}")
        chosen = _weights_by_extractor(name, weights)
        params: dict[str, dict[str, str]] = {each: {} for each in FEATURE_SETS[name]}
        for each, given in params.items():
            if each in chosen:
                given["weights"] = chosen[each]
            if name == "full-bf16" and "precision" in parameters(each):
                given["precision"] = "bfloat16"
        entries = tuple(Entry(extractor(each, given)) for each, given in params.items())
        return cls(f"{name}-{RANDOM}" if RANDOM in chosen.values() else name, entries, resolve)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any], *, resolve: Resolve = local_file) -> FeatureSet:
        """From `{name, extractors: [{name, params, optional}]}`.

        With a `fingerprint` beside them, the set must have it here too: another version of the code or another file
        of weights is refused, instead of giving vectors that are not what they are said to be.

        Raises:
            ConfigError: something unknown, or another fingerprint.
        """
        _refuse_unknown(given, ("name", "extractors", "fingerprint"), "a feature set")
        if not isinstance(given.get("name"), str) or not isinstance(given.get("extractors"), list | tuple):
            raise ConfigError("a feature set is written {name: …, extractors: [{name: …, params: {…}}]}")
        made = cls(given["name"], tuple(map(Entry.from_dict, given["extractors"])), resolve)
        expected = given.get("fingerprint")
        if expected is not None and made.fingerprint != expected:
            raise ConfigError(
                f"the feature set {made.name} is {made.fingerprint} here and {expected} where it comes from: "
                "use the same version of viral and the same weights"
            )
        return made

    @classmethod
    def load(cls, path: Path, *, resolve: Resolve = local_file) -> FeatureSet:
        """From a YAML file. Raises ConfigError."""
        try:
            given = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"cannot read the feature set {path}: {str(error).splitlines()[0]}") from error
        if not isinstance(given, dict):
            raise ConfigError(f"{path} holds no feature set: write name and extractors")
        return cls.from_dict(given, resolve=resolve)

    def to_dict(self) -> dict[str, Any]:
        """The set as YAML or JSON holds it, with its fingerprint."""
        extractors = [entry.to_dict() for entry in self.entries]
        return {"name": self.name, "extractors": extractors, "fingerprint": self.fingerprint}

    def with_resolve(self, resolve: Resolve) -> FeatureSet:
        """The same set with another way to fetch weights."""
        return replace(self, resolve=resolve)

    @property
    def specs(self) -> tuple[ExtractorSpec, ...]:
        """The extractors, not loaded, in order."""
        return tuple(entry.spec for entry in self.entries)

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """For each extractor the hash of its name, version and parameters, with its weights by what they are.

        Raises:
            WeightsError: weights given by path or URI cannot be read, and their extractor is not optional.
        """
        return {entry.spec.name: _fingerprint(self._identity(entry)) for entry in self.entries}

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits over all extractors in order. Raises WeightsError as `fingerprints` does."""
        return _fingerprint(list(self.fingerprints.items()))

    @property
    def table(self) -> str:
        """The table that holds its vectors."""
        return f"features/{self.name}-{self.fingerprint}"

    @property
    def dims(self) -> dict[str, int]:
        """The length of each extractor's vectors, by its name and in order."""
        return {spec.name: spec.dim for spec in self.specs}

    @property
    def modalities(self) -> dict[str, str]:
        """The modality of each extractor, by its name and in order."""
        return {spec.name: spec.modality for spec in self.specs}

    @property
    def tells(self) -> tuple[str, ...]:
        """The extractors whose vectors come with a note, in order."""
        return tuple(spec.name for spec in self.specs if spec.tells)

    @property
    def requests(self) -> tuple[Request, ...]:
        """What all its extractors together ask of the decode pass, each once."""
        return tuple(dict.fromkeys(request for spec in self.specs for request in spec.needs))

    def unavailable(self) -> dict[str, str]:
        """The extractors whose weights cannot be had on this machine, each with the reason and the fix."""
        found = {}
        for spec in self.specs:
            try:
                spec.check(self.resolve)
            except WeightsError as error:
                found[spec.name] = str(error)
        return found

    def check_same(self) -> None:
        """Refuse weights that are others here than where the fingerprints were made: one table, one kind of vectors.

        Raises:
            WeightsError: they are, or they cannot be had here.
        """
        for entry in self.entries:
            if _fingerprint(self._identity(entry)) != self.fingerprints[entry.spec.name]:
                raise WeightsError(
                    f"the weights of {entry.spec.name} on {platform.node()} are others than where the job was started: "
                    "bring them into the root (viral weights fetch or put, with --root)"
                )

    def build(self, *, device: str = "cpu") -> list[Extractor]:
        """Load the extractors, in order, their networks onto `device`.

        Warns:
            UnavailableWarning: an optional extractor has no weights here; it gives None for every sample.

        Raises:
            WeightsError: an extractor that is not optional has no weights here.
        """
        return [self._built(entry, device) for entry in self.entries]

    def _built(self, entry: Entry, device: str) -> Extractor:
        try:
            return entry.spec.made(device, self.resolve)
        except WeightsError as error:
            if not entry.optional:
                raise
            warnings.warn(f"{entry.spec.name} is missing: {error}", UnavailableWarning, stacklevel=3)
            return UnavailableExtractor(entry.spec, str(error))

    def _identity(self, entry: Entry) -> dict[str, Any]:
        spec = entry.spec
        try:
            if entry.optional:
                spec.check(self.resolve)  # without its weights it gives other vectors: none
            params = spec.identity(self.resolve)
        except WeightsError:
            if not entry.optional:
                raise
            params = spec.params() | {"weights": "missing"}
        return {"name": spec.name, "version": spec.version, "params": params}

    def __str__(self) -> str:
        return f"{self.name}-{self.fingerprint} ({', '.join(f'{s.name} {s.version}' for s in self.specs)})"


def _weights_by_extractor(name: str, weights: str | Mapping[str, str] | None) -> dict[str, str]:
    takers = [each for each in FEATURE_SETS[name] if "weights" in parameters(each)]
    if weights is None:
        return {}
    if not takers:
        raise ConfigError(f"the feature set {name!r} has no extractor that takes weights")
    if isinstance(weights, str):
        return dict.fromkeys(takers, weights)
    _refuse_unknown(weights, takers, f"the weights of the feature set {name!r}")
    return dict(weights)


def _refuse_unknown(given: Mapping[str, Any], allowed: Iterable[str], what: str) -> None:
    allowed = tuple(allowed)
    if unknown := sorted(set(given) - set(allowed)):
        raise ConfigError(f"{what} has no {unknown[0]!r}: choose from {', '.join(allowed)}")


def _fingerprint(value: object) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
