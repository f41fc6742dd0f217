"""How many machines a backfill needs, by what earlier backfills of the root have cost."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.backfilling.chunks import CHUNKS_PER_WORKER, MAX_CHUNK, MIN_CHUNK
from viral.errors import ConfigError, TableError
from viral.extractors.feature_set import FeatureSet
from viral.features.costs import StageCost, columns_of, fit_costs, interval
from viral.features.feature_table import features_table, missing_table_error
from viral.storage.store import Store, one_line
from viral.tables.places import posts_table
from viral.tables.run_log import Run, runs

ON_CPU = ("read", "decode")
"""Stages that need a core even where there are GPUs."""
SAMPLE_ROWS = 20_000  # measured posts: their mean is then within 1 or 2 %
_MIN_ROWS = 20  # measured posts, below which nothing is said
_LOOK_BACK = 200  # runs of the log, among them the backfills whose overhead is used
_RESAMPLES = 200  # for an interval whose ends need no third digit
_SECONDS_PER_HOUR = 3600.0
_MOST_CORES = 1_000_000
_PAIRS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.float64())]))  # how Arrow lays out a map

Floats = npt.NDArray[np.float64]


class Machine(BaseModel):
    """A kind of machine in a file of prices; `per_hour` is the lowest (spot) and the highest (on demand) price."""

    model_config = ConfigDict(extra="forbid")

    name: str
    cores: int = Field(gt=0)
    gpus: int = Field(default=0, ge=0)
    per_hour: tuple[float, float]


@dataclass
class Fleet:
    """So many machines of a kind, for so many hours, at a price."""

    machine: str
    nodes: int
    hours: float
    price_low: float
    price_high: float


@dataclass
class Plan:
    """What a backfill takes.

    Attributes:
        posts: to process.
        measured_posts: whose times were used.
        core_hours: work of cores, with all overheads of the measured runs; `core_hours_low` and `core_hours_high` hold
            its mean in 90 % of resamples of the measured posts.
        gpu_hours: work of GPUs; 0 if the measured runs had none.
        cores: to end in time.
        gpus: to end in time.
        hours: until the end on these.
        longest_post_seconds: the longest measured post; no number of machines makes the run shorter.
        bottleneck: the stage that takes most, and its share.
        seconds_per_post: by stage.
        fleets: what the machines of the price list come to, the cheapest first; lines of text where people read them.
        notes: what the plan assumes.
    """

    posts: int
    measured_posts: int
    core_hours: float
    core_hours_low: float
    core_hours_high: float
    gpu_hours: float
    cores: int
    gpus: int
    hours: float
    longest_post_seconds: float
    bottleneck: str
    seconds_per_post: dict[str, float]
    fleets: Sequence[Fleet | str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Measured:
    """Times of earlier backfills: of each stage per post, and what the whole runs took beside."""

    costs: Mapping[str, StageCost]
    durations: Floats
    totals: Floats
    overhead: float
    start_seconds: float
    with_gpus: bool


def measure(store: Store, feature_set: FeatureSet) -> Measured:
    """Read the times of earlier backfills of a feature set.

    Raises:
        TableError: there are too few.
    """
    table = features_table(store, feature_set)
    if not table.stored_rows():
        raise missing_table_error(store, feature_set)
    rows = _sample(table.scan(["post_id", "status", "stage_seconds", "seen_seconds"]))
    if rows.num_rows < _MIN_ROWS:
        raise TableError(
            f"{feature_set.table} holds times of {rows.num_rows} posts: backfill at least {_MIN_ROWS} before planning"
        )
    seconds = columns_of([dict(row) for row in rows["stage_seconds"].to_pylist()])
    durations = np.asarray(pc.fill_null(rows["seen_seconds"], 0.0).to_numpy(), float)
    past = [run for run in runs(store, _LOOK_BACK) if _counts(run, feature_set)]
    work = sum(sum(run.summary["stage_seconds"].values()) for run in past)
    spent = sum(
        run.summary["cores"] * max(0.0, run.summary["wall_seconds"] - run.summary["start_seconds"]) for run in past
    )
    return Measured(
        fit_costs(seconds, durations),
        durations,
        np.sum(list(seconds.values()), axis=0),
        spent / work if work and spent else 1.0,
        max((run.summary["start_seconds"] for run in past), default=0.0),
        any(run.summary["gpus"] for run in past),
    )


def _sample(parts: Iterable[pa.Table]) -> pa.Table:
    """The measured rows of the first buckets, which hold posts as good as at random."""
    found: list[pa.Table] = []
    for part in parts:
        found.append(part.filter(pc.greater(pc.list_value_length(part["stage_seconds"].cast(_PAIRS)), 0)))
        if sum(map(len, found)) >= SAMPLE_ROWS:
            break
    return pa.concat_tables(found)


def _counts(run: Run, feature_set: FeatureSet) -> bool:
    """Whether a run is a backfill of the set that says how long it took on how many cores."""
    summary = run.summary
    measured = {"cores", "gpus", "start_seconds", "stage_seconds"} <= set(summary)
    return run.command == "backfill" and measured and summary["table"] == feature_set.table and summary["cores"] > 0


@dataclass(frozen=True)
class Work:
    """The work of a backfill.

    Args:
        posts: number of posts.
        core_seconds: of all posts, with the overhead of the measured runs.
        gpu_seconds: of all posts.
        start_seconds: until the first posts are done.
        longest_seconds: of the longest post.
    """

    posts: int
    core_seconds: float
    gpu_seconds: float
    start_seconds: float
    longest_seconds: float

    def hours(self, cores: int, gpus: int = 0) -> float:
        """Return the wall time on so many cores and GPUs; the last chunk and the longest post keep few of them busy."""
        chunk = min(MAX_CHUNK, max(MIN_CHUNK, self.posts // (cores * CHUNKS_PER_WORKER)))
        seconds_per_post = (self.core_seconds + self.gpu_seconds) / self.posts
        # On average, a core waits for half of the last chunk of another.
        tail = max(self.longest_seconds, chunk * seconds_per_post / 2) if cores > 1 else 0.0
        busy = max(self.core_seconds / cores, self.gpu_seconds / gpus if gpus else 0.0)
        return (self.start_seconds + busy + tail) / _SECONDS_PER_HOUR

    def cores_within(self, hours: float) -> int:
        """Return the smallest number of cores with which it ends in time.

        Raises:
            ConfigError: no number is enough.
        """
        seconds = hours * _SECONDS_PER_HOUR
        fixed = self.start_seconds + self.longest_seconds
        if seconds <= fixed:
            raise ConfigError(
                f"no number of machines ends within {hours:g} h: start and longest post take {fixed:.0f} s"
            )
        found = bisect.bisect_left(range(1, _MOST_CORES), True, key=lambda cores: self.hours(cores, cores) <= hours)
        return found + 1


def plan(
    measured: Measured,
    posts: int,
    durations: Floats,
    *,
    hours: float | None,
    cores: int | None,
    machines: Sequence[Machine],
) -> Plan:
    """Plan a backfill.

    Args:
        measured: times of earlier backfills.
        posts: number of posts to process.
        durations: seconds of their videos, of all or of a sample; empty: as the measured ones.
        hours: end within so many; the number of cores follows.
        cores: or run on so many; the hours follow.
        machines: kinds of machines with their prices.
    """
    lengths = durations if durations.size else measured.durations
    per_post = {stage: float(cost.of(lengths).mean()) for stage, cost in measured.costs.items()}
    on_gpu = {stage for stage in per_post if measured.with_gpus and stage not in ON_CPU}
    core_seconds = (
        sum(seconds for stage, seconds in per_post.items() if stage not in on_gpu) * measured.overhead * posts
    )
    gpu_seconds = sum(per_post[stage] for stage in on_gpu) * posts
    longest = float(sum(cost.of(np.array([lengths.max()]))[0] for cost in measured.costs.values()))
    work = Work(posts, core_seconds, gpu_seconds, measured.start_seconds, max(longest, float(measured.totals.max())))
    wanted = cores or work.cores_within(hours or 1.0)
    gpus = math.ceil(gpu_seconds / (_SECONDS_PER_HOUR * hours)) if hours else int(measured.with_gpus)
    low, high = (bound / measured.totals.mean() for bound in interval(measured.totals, _RESAMPLES))
    stage = max(per_post, key=lambda name: per_post[name])
    return Plan(
        posts=posts,
        measured_posts=measured.totals.size,
        core_hours=core_seconds / _SECONDS_PER_HOUR,
        core_hours_low=core_seconds * low / _SECONDS_PER_HOUR,
        core_hours_high=core_seconds * high / _SECONDS_PER_HOUR,
        gpu_hours=gpu_seconds / _SECONDS_PER_HOUR,
        cores=wanted,
        gpus=gpus,
        hours=work.hours(wanted, gpus),
        longest_post_seconds=work.longest_seconds,
        bottleneck=f"{stage}, {per_post[stage] / sum(per_post.values()):.0%} of the time",
        seconds_per_post=per_post,
        fleets=_fleets(work, wanted, gpus, machines, (low, high)),
        notes=_notes(measured, durations),
    )


def _fleets(work: Work, cores: int, gpus: int, machines: Sequence[Machine], spread: tuple[float, float]) -> list[Fleet]:
    found = []
    for machine in machines:
        if gpus and not machine.gpus:
            continue
        nodes = max(math.ceil(cores / machine.cores), math.ceil(gpus / machine.gpus) if gpus else 0)
        hours = work.hours(nodes * machine.cores, nodes * machine.gpus)
        low, high = (nodes * hours * price * share for price, share in zip(machine.per_hour, spread, strict=True))
        found.append(Fleet(machine.name, nodes, hours, low, high))
    return sorted(found, key=lambda fleet: fleet.price_low)


def _notes(measured: Measured, durations: Floats) -> list[str]:
    notes = []
    if not durations.size:
        notes.append("the posts say no durations: those of the measured videos are assumed")
    if not measured.with_gpus:
        notes.append("measured on cores alone: a backfill on a node with a GPU would tell what GPUs save")
    return notes


def durations_of(store: Store) -> Floats:
    """Return the durations in seconds that the scrapes say, of the first posts of the table."""
    found: list[pa.ChunkedArray] = []
    for part in posts_table(store).scan(["post_id", "duration_seconds"]):
        found.append(part["duration_seconds"].drop_null())
        if sum(map(len, found)) >= SAMPLE_ROWS:
            break
    return np.concatenate([each.to_numpy() for each in found]) if found else np.zeros(0)


def read_prices(file: Path) -> list[Machine]:
    """Read a YAML list of machines with their prices.

    Raises:
        ConfigError: it cannot be read, or is of another form.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        if not isinstance(content, list):
            raise ConfigError(f"{file} is no list of machines: name, cores, gpus, per_hour: [spot, on demand]")
        return [Machine.model_validate(entry) for entry in content]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the prices {file}: {one_line(error)}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
