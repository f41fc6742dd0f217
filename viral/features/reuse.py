"""What another table holds already: adding an extractor to a set computes that one and copies the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from viral.config import Settings
from viral.errors import ExtractorError
from viral.extractors.extractor import Vector
from viral.extractors.feature_set import FeatureSet
from viral.features.pipeline import Encoder, Outcome
from viral.features.reader import Decoded, Job, Reader
from viral.media.media import Facts, Media
from viral.storage.store import Store, read_json
from viral.tables.bucketed import Parts
from viral.tables.schemas import FACTS, features, note_column

_CARD = "_set.json"
_OUTCOME = ("post_id", "attempt", "status", "reason", "detail")


@dataclass(frozen=True)
class Known:
    """What a donor knows of a post: vectors by extractor (None: not in the post), notes, facts, a partial's reason."""

    vectors: Mapping[str, Vector | None]
    notes: Mapping[str, str]
    facts: Facts
    reason: str | None
    detail: str | None


@dataclass(frozen=True)
class Donor:
    """A feature table, and those of its extractors that another set has just so; `tells` are those with notes."""

    table: Parts
    extractors: tuple[str, ...]
    tells: tuple[str, ...] = ()

    def rows(self, bits: int, bucket: int) -> pa.Table:
        """Its rows of a bucket; posts that failed there are left out."""
        notes = map(note_column, self.tells)
        rows = self.table.read(bits, bucket, [*_OUTCOME, *FACTS.names, *self.extractors, *notes])
        return rows.filter(_usable(rows))

    def known(self, rows: pa.Table, posts: Sequence[str]) -> dict[str, Known]:
        """What these rows say of these posts."""
        wanted = pc.is_in(rows["post_id"], pa.array(posts, pa.string()))
        return {row["post_id"]: self._known(row) for row in rows.filter(wanted).to_pylist()}

    def _known(self, row: dict[str, object]) -> Known:
        vectors = {name: None if row[name] is None else np.array(row[name], np.float32) for name in self.extractors}
        notes = {name: str(said) for name in self.tells if (said := row[note_column(name)]) is not None}
        facts = Facts(**{name: row[name] for name in FACTS.names})  # type: ignore[arg-type]  # as FACTS types them
        return Known(vectors, notes, facts, _text(row["reason"]), _text(row["detail"]))


def declare(store: Store, feature_set: FeatureSet) -> None:
    """Say beside a feature table what its vectors are, so that other sets can find what they share with it."""
    card = {"set": feature_set.to_dict(), "fingerprints": feature_set.fingerprints}
    if read_json(store, f"{feature_set.table}/{_CARD}") != card:
        store.write(f"{feature_set.table}/{_CARD}", json.dumps(card, indent=1).encode())


def donors(store: Store, feature_set: FeatureSet) -> list[Donor]:
    """The other tables of the root that share extractors with `feature_set`, that with the most first."""
    found = []
    for info in store.objects("features"):
        table, _, file = info.key.rpartition("/")
        card = read_json(store, info.key) if file == _CARD and table != feature_set.table else None
        if card and (shared := _shared(feature_set.fingerprints, card["fingerprints"])):
            tells = tuple(name for name in feature_set.tells if name in shared)
            parts = Parts(store, table, features(shared, tells), key="post_id", newest_by="attempt", history=True)
            found.append(Donor(parts, shared, tells))
    return sorted(found, key=lambda donor: (-len(donor.extractors), donor.table.prefix))


def subset(feature_set: FeatureSet, names: Sequence[str]) -> FeatureSet:
    """Those extractors of a set, as a set."""
    entries = tuple(entry for entry in feature_set.entries if entry.spec.name in names)
    return FeatureSet(feature_set.name, entries, feature_set.resolve)


def _shared(ours: Mapping[str, str], theirs: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name, fingerprint in ours.items() if theirs.get(name) == fingerprint)


def _usable(rows: pa.Table) -> pa.ChunkedArray:
    """Posts that went well there; a post that an extractor failed on is asked again."""
    failed = pc.or_(
        pc.equal(rows["status"], "failed"), pc.equal(pc.fill_null(rows["reason"], ""), ExtractorError.reason)
    )
    return pc.invert(failed)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


@dataclass(frozen=True)
class Prepared:
    """A post that was read, the extractors that it still needs, and what another table knows of it."""

    decoded: Decoded
    names: tuple[str, ...]
    known: Known | None = None


class Preparation:
    """The first half of a post's way in a backfill: what other tables hold of it is looked up, the rest is decoded.

    A post's video is taken to be what it was when the donor read it. It needs no torch; close it.
    """

    def __init__(self, feature_set: FeatureSet, store: Store, settings: Settings) -> None:
        self.feature_set, self.store, self.settings = feature_set, store, settings
        self.donors = donors(store, feature_set)
        self._readers: dict[tuple[str, ...], Reader] = {}
        self._held: tuple[tuple[int, int], list[pa.Table]] = ((-1, -1), [])

    def run(self, jobs: Sequence[Job], bits: int, bucket: int) -> Iterator[Prepared]:
        """Each job prepared, those first that a donor knows; all are posts of that bucket."""
        rest = list(jobs)
        for donor, rows in zip(self.donors, self._rows(bits, bucket), strict=True):
            known = donor.known(rows, [job.post_id for job in rest])
            missing = tuple(name for name in self.feature_set.dims if name not in donor.extractors)
            yield from self._prepared(missing, [job for job in rest if job.post_id in known], known)
            rest = [job for job in rest if job.post_id not in known]
        yield from self._prepared(tuple(self.feature_set.dims), rest, {})

    def _rows(self, bits: int, bucket: int) -> list[pa.Table]:
        """What the donors hold of a bucket. The last one stays in memory: a worker gets several chunks of a bucket."""
        if self._held[0] != (bits, bucket):
            self._held = (bits, bucket), [donor.rows(bits, bucket) for donor in self.donors]
        return self._held[1]

    def _prepared(self, names: tuple[str, ...], jobs: Sequence[Job], known: Mapping[str, Known]) -> Iterator[Prepared]:
        """Where a donor knows the file and no extractor looks into it, it is not read."""
        if known and not self._reader(names).plan.requests:
            decoded: Iterable[Decoded] = (Decoded(job, Media(known[job.post_id].facts)) for job in jobs)
        else:
            decoded = self._reader(names).run(jobs)
        return (Prepared(each, names, known.get(each.job.post_id)) for each in decoded)

    def close(self) -> None:
        """End the sandboxes."""
        for reader in self._readers.values():
            reader.close()

    def _reader(self, names: tuple[str, ...]) -> Reader:
        if names not in self._readers:
            specs = [spec for spec in self.feature_set.specs if spec.name in names]
            requests = (request for spec in specs for request in spec.needs)
            self._readers[names] = Reader(requests, self.store, self.settings)
        return self._readers[names]


class Completion:
    """The second half: the extractors that a post still needs, loaded when first needed, joined with what was known."""

    def __init__(self, feature_set: FeatureSet, *, device: str = "cpu") -> None:
        self.feature_set, self.device = feature_set, device
        self._encoders: dict[tuple[str, ...], Encoder] = {}

    def run(self, prepared: Iterable[Prepared]) -> Iterator[Outcome]:
        """The outcome of each post, in their order."""
        for names, each in groupby(prepared, lambda post: post.names):
            group = list(each)
            outcomes = self._outcomes(names, [post.decoded for post in group])
            yield from (_joined(outcome, post.known) for outcome, post in zip(outcomes, group, strict=True))

    def _outcomes(self, names: tuple[str, ...], group: Sequence[Decoded]) -> Iterable[Outcome]:
        if not names:
            return [Outcome(post.job.post_id, "ok", facts=post.media.facts) for post in group if post.media]
        if names not in self._encoders:
            self._encoders[names] = Encoder(subset(self.feature_set, names), device=self.device)
        return self._encoders[names].outcomes(group)


def _joined(outcome: Outcome, known: Known | None) -> Outcome:
    """An outcome with what was known already; a post that fails now has failed."""
    if known is None or outcome.status == "failed":
        return outcome
    reason = outcome.reason or known.reason
    return replace(
        outcome,
        status="partial" if reason else "ok",
        reason=reason,
        detail=outcome.detail or known.detail,
        vectors={**known.vectors, **outcome.vectors},
        notes={**known.notes, **outcome.notes},
    )
