"""`viral label`: posts → a label table with the split, and targets fitted on the training split."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal

import click
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.console.commands import execute
from viral.console.options import root_options
from viral.console.output import print_summary
from viral.duplicates.clusters import later_copies
from viral.duplicates.videos import clusters_of
from viral.evaluation.splits import PARTS, Kind, SplitSpec, assign
from viral.labels import DEFINITIONS, AppliedLabel, LabelSpec, fit, log_rates
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.bucketed import log2_buckets_for
from viral.tables.places import labels_prefix, posts_table
from viral.tables.posts import no_posts_error
from viral.tables.run_log import record_run
from viral.tables.schemas import LABELS

COLUMNS = [
    *("post_id", "author_id", "posted_at", "scraped_at", "duration_seconds", "author_followers"),
    *("sound_id", "sound_uses"),
    *("views", "likes", "comments", "shares", "saves"),
]
"""Columns of posts that label definitions and splits use."""
_TIME_KINDS = ("time", "time_author")
# Fewer posts are warned of: with the usual quarter of viral posts, thirty hold only seven or eight.
MIN_POSTS = {"train": 100, "validation": 30, "test": 30}
_SHOWN_MODELS = 5


@dataclass
class LabelSummary:
    """Counts of labelled posts, of dropped posts by reason, and of labelled posts by split.

    `copies` are unused posts with the video of an earlier post; only posts with features are compared.
    """

    table: str
    posts: int
    labelled: int
    viral: int
    copies: int
    dropped: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def run(
    store: Store, label: LabelSpec, split: SplitSpec, *, name: str | None = None, keep_copies: bool = False
) -> LabelSummary:
    """Label every post that has the required columns, fitted on the training split alone.

    Loads `COLUMNS` of all posts on this machine, because a definition may compare any two posts (of a week, or of an
    author) and a split ranks all posts. The peak is about 800 bytes per post (measured at 10^6 posts),
    and 1.5 kB while hashed videos are compared.

    Args:
        store: the root.
        label: the label.
        split: the kind of split.
        name: name of the table; default: that of the definition.
        keep_copies: keep posts with the video of an earlier post in the split; the audit then refuses to evaluate a
            model on them.

    Raises:
        TableError: there are no posts, or too few for the split.
        ConfigError: the definition or the split is not possible for these posts.
    """
    posts = all_posts(store)
    timed = posts.filter(pc.is_valid(posts["posted_at"])) if split.kind in _TIME_KINDS else posts
    copies = np.zeros(timed.num_rows, bool) if keep_copies else _copies(store, timed)
    # A copy in another split than its original would be a post that the model has seen.
    parts = np.where(copies, "unused", assign(timed, split))
    # After the split: constants and threshold come from training posts alone.
    fitted = fit(label, timed, parts == "train")
    labelled = fitted.apply(timed)
    rows = label_rows(timed.filter(pa.array(labelled.mask)), parts[labelled.mask], labelled)
    table = name or label.definition
    about = {"spec": asdict(label), "fitted": fitted.to_dict(), "split": asdict(split), "name": table}
    outdated = _models_of(store, table, about)
    _replace(store, table, rows, about)
    dropped = dict(labelled.dropped)
    if timed.num_rows < posts.num_rows:
        dropped["no posting time"] = posts.num_rows - timed.num_rows
    summary = _summarise(table, rows, posts.num_rows, int(copies.sum()), dropped)
    summary.warnings = [*_few_posts(summary.splits), *_outdated(outdated)]
    return summary


def _summarise(table: str, rows: pa.Table, posts: int, copies: int, dropped: dict[str, int]) -> LabelSummary:
    return LabelSummary(
        table=labels_prefix(table),
        posts=posts,
        labelled=rows.num_rows,
        viral=pc.sum(rows["is_viral"], min_count=0).as_py(),
        copies=copies,
        dropped=dropped,
        splits={part: int((rows["split"].to_numpy() == part).sum()) for part in PARTS},
    )


def _few_posts(splits: Mapping[str, int]) -> list[str]:
    """Warn of parts with so few posts that nothing can be learnt from them."""
    few = [f"{splits[part]} in {part}" for part in PARTS if splits[part] < MIN_POSTS.get(part, 0)]
    if not few:
        return []
    unused = f"; {splits['unused']} are unused" if splits["unused"] else ""
    return [f"few posts ({', '.join(few)}{unused}): ingest more, or another --split leaves out fewer"]


def _models_of(store: Store, table: str, about: Mapping[str, Any]) -> list[str]:
    """Names of the newest models that were trained on a label table of other content."""
    registry, stored = Registry(store), json.loads(json.dumps(about))  # as cards hold it
    versions = [registry.resolve(name) for name in registry.names()]
    labels = {f"{name}/{version}": registry.card(name, version).get("label", {}) for name, version in versions}
    return [model for model, label in labels.items() if label.get("name") == table and label != stored]


def _outdated(models: Sequence[str]) -> list[str]:
    names = ", ".join(models[:_SHOWN_MODELS]) + (" …" if len(models) > _SHOWN_MODELS else "")
    message = f"{names}: trained on the labels before these, can no longer be evaluated or audited (--name keeps both)"
    return [message] if models else []


def _copies(store: Store, posts: pa.Table) -> npt.NDArray[np.bool_]:
    """Mask of the posts with the video of an earlier post."""
    return later_copies(posts, clusters_of(store, posts["post_id"]).codes)


def all_posts(store: Store) -> pa.Table:
    """Read `COLUMNS` of all posts. Raises TableError if there are none."""
    table = posts_table(store)
    posts = pa.concat_tables([table.schema.empty_table().select(COLUMNS), *table.scan(COLUMNS)])
    if not posts.num_rows:
        raise no_posts_error(store)
    return posts.combine_chunks()


def label_rows(posts: pa.Table, parts: npt.NDArray[np.str_], labelled: AppliedLabel) -> pa.Table:
    """Build the rows of the label table from posts that all have a label."""
    columns: dict[str, Any] = {
        **{name: posts[name] for name in ("post_id", "author_id", "posted_at")},
        "split": pa.array(parts.astype(object), pa.string()),
        "target": pa.array(labelled.target),
        "is_viral": pa.array(labelled.is_viral),
        **{f"{name}_rate": pa.array(values, from_pandas=True) for name, values in log_rates(posts).items()},
    }
    return pa.table(columns).select(LABELS.names).cast(LABELS)


def _replace(store: Store, name: str, rows: pa.Table, about: dict[str, Any]) -> None:
    version = uuid.uuid4().hex[:12]
    table = replaced.begin(store, labels_prefix(name), LABELS, version)
    table.append(rows, log2_buckets_for(rows.num_rows))
    replaced.commit(store, labels_prefix(name), version, about)


@click.command()
@click.option("--definition", default="log_views", show_default=True, type=click.Choice(DEFINITIONS))
@click.option("--top", default=0.25, show_default=True, help="Fraction of posts that count as viral.")
@click.option("--within", multiple=True, type=click.Choice(["week", "age", "duration"]), help="Compare within bins.")
@click.option(
    "--split",
    default="time_author",
    show_default=True,
    type=click.Choice(["time_author", "time", "author", "sound", "random"]),
    help="Test posts: newer posts by other authors, newer posts, other authors, other sounds, or any posts.",
)
@click.option("--gap-days", default=0.0, show_default=True, help="Days to leave out before each cut, if split by time.")
@click.option("--seed", default=0, show_default=True, help="Random seed of the author, sound and random splits.")
@click.option("--name", help="Name of the table; default: that of the definition.")
@click.option(
    "--keep-copies", is_flag=True, help="Also use posts with the video of an earlier one; the audit rejects them."
)
@root_options
def command(
    definition: str,
    top: float,
    within: tuple[Literal["week", "age", "duration"], ...],
    split: Kind,
    gap_days: float,
    seed: int,
    name: str | None,
    keep_copies: bool,
    root: str,
    as_json: bool,
    debug: bool,
) -> None:
    """Label the posts, fitted on the training split alone; posts without the required columns are dropped and counted.

    After a backfill, posts with the video of an earlier post are left out of every part of the split.
    """
    del debug  # every command has this option, but this one has no debug output
    label = LabelSpec(definition, top, within)
    spec = SplitSpec(split, gap_days=gap_days, seed=seed)
    store = Store.open(root)
    work = partial(run, store, label, spec, name=name, keep_copies=keep_copies)
    print_summary(record_run(store, "label", lambda _: work()), as_json=as_json)


if __name__ == "__main__":
    execute(command)
