"""The posts table → a label table: targets, fitted on the training split, and the split itself."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal

import click
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluating.hashes import hashes_of
from viral.console.commands import execute
from viral.console.options import common
from viral.console.output import say
from viral.errors import TableError
from viral.evaluation.duplicates import later_copies
from viral.evaluation.splits import PARTS, Kind, SplitSpec, assign
from viral.labels import DEFINITIONS, Labelled, LabelSpec, fit, log_rates
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.bucketed import bits_for
from viral.tables.places import labels_prefix, posts_table
from viral.tables.run_log import recorded
from viral.tables.schemas import LABELS

COLUMNS = [
    *("post_id", "author_id", "posted_at", "scraped_at", "duration_seconds", "author_followers"),
    *("sound_id", "sound_uses"),
    *("views", "likes", "comments", "shares", "saves"),
]
"""Of posts, what a definition or a split may look at."""
_TIME_KINDS = ("time", "time_author")


@dataclass
class LabelSummary:
    """How many posts were labelled, how many dropped for which reason, and how the labelled ones are split.

    `copies` have the video of an earlier post, as far as features tell, and are unused.
    """

    table: str
    posts: int
    labelled: int
    viral: int
    copies: int
    dropped: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)


def run(
    store: Store, label: LabelSpec, split: SplitSpec, *, name: str | None = None, keep_copies: bool = False
) -> LabelSummary:
    """Label every post that has what the definition needs; constants are fitted on the training split alone.

    Holds thirteen narrow columns of all posts on this machine, with what is made of them about 800 bytes a post at the
    peak (measured at 10^6): a definition may compare any post with any other (ranks within a week, an author's earlier
    posts), and the split ranks all posts.

    Args:
        store: the root.
        label: what to label by.
        split: how to divide the posts.
        name: of the table; by default the definition's.
        keep_copies: leave posts with the video of an earlier one in the split; the audit then refuses to judge a model
            whose test posts are among them.

    Raises:
        TableError: no posts, or too few for the split. ConfigError: what the definition or the split cannot do.
    """
    posts = all_posts(store)
    timed = posts.filter(pc.is_valid(posts["posted_at"])) if split.kind in _TIME_KINDS else posts
    copies = np.zeros(timed.num_rows, bool)
    if not keep_copies:
        copies = later_copies(timed.append_column("sha256", hashes_of(store, timed["post_id"])))
    parts = np.where(copies, "unused", assign(timed, split))
    fitted = fit(label, timed, parts == "train")
    labelled = fitted.apply(timed)
    rows = label_rows(timed.filter(pa.array(labelled.mask)), parts[labelled.mask], labelled)
    table = name or label.definition
    about = {"spec": asdict(label), "fitted": fitted.to_dict(), "split": asdict(split), "name": table}
    _replace(store, table, rows, about)
    dropped = dict(labelled.dropped)
    if timed.num_rows < posts.num_rows:
        dropped["no posting time"] = posts.num_rows - timed.num_rows
    counts = {part: int((rows["split"].to_numpy() == part).sum()) for part in PARTS}
    viral = int(labelled.is_viral.sum())
    return LabelSummary(labels_prefix(table), posts.num_rows, rows.num_rows, viral, int(copies.sum()), dropped, counts)


def all_posts(store: Store) -> pa.Table:
    """The columns of all posts that a definition or a split may look at. Raises TableError: there is none."""
    posts = pa.concat_tables([posts_table(store).schema.empty_table().select(COLUMNS), *_scan(store)])
    if not posts.num_rows:
        raise TableError(f"the posts table of {store.root} is empty: ingest some first (viral ingest)")
    return posts.combine_chunks()


def _scan(store: Store) -> Sequence[pa.Table]:
    return list(posts_table(store).scan(COLUMNS))


def label_rows(posts: pa.Table, parts: npt.NDArray[np.str_], labelled: Labelled) -> pa.Table:
    """The rows of the label table, for posts that all have a label."""
    rates = {f"{name}_rate": pa.array(values, from_pandas=True) for name, values in log_rates(posts).items()}
    columns: dict[str, Any] = {
        **{name: posts[name] for name in ("post_id", "author_id", "posted_at")},
        "split": pa.array(parts.astype(object), pa.string()),
        "target": pa.array(labelled.target),
        "is_viral": pa.array(labelled.is_viral),
        **rates,
    }
    return pa.table(columns).select(LABELS.names).cast(LABELS)


def _replace(store: Store, name: str, rows: pa.Table, about: dict[str, Any]) -> None:
    generation = uuid.uuid4().hex[:12]
    parts = replaced.begin(store, labels_prefix(name), LABELS, generation)
    parts.append(rows, bits_for(rows.num_rows))
    replaced.commit(store, labels_prefix(name), generation, about)


@click.command()
@click.option("--definition", default="log_views", show_default=True, type=click.Choice(DEFINITIONS))
@click.option("--top", default=0.25, show_default=True, help="The fraction of posts that counts as viral.")
@click.option("--within", multiple=True, type=click.Choice(["week", "age", "duration"]), help="Compare within bins.")
@click.option(
    "--split",
    default="time_author",
    show_default=True,
    type=click.Choice(["time_author", "time", "author", "sound", "random"]),
    help="What is held out: newer posts by other authors, newer posts, other authors, other sounds, or any posts.",
)
@click.option("--gap-days", default=0.0, show_default=True, help="For the time kinds: days left out before the cut.")
@click.option("--seed", default=0, show_default=True, help="Of the author, sound and random splits.")
@click.option("--name", help="The table's name; by default the definition's.")
@click.option("--keep-copies", is_flag=True, help="Also use posts with the video of an earlier one; the audit minds.")
@common
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
    """Label the posts, fitted on the training split alone; posts that lack what it needs are dropped, and counted.

    After a backfill, posts whose video is that of an earlier post are left out of all parts of the split.
    """
    del debug  # of all commands; this one has nothing more to show
    label = LabelSpec(definition, top, within)
    spec = SplitSpec(split, gap_days=gap_days, seed=seed)
    store = Store.open(root)
    work = partial(run, store, label, spec, name=name, keep_copies=keep_copies)
    say(recorded(store, "label", lambda _: work()), as_json=as_json)


if __name__ == "__main__":
    execute(command)
