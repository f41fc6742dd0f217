"""The posts table → one row a sound, in a root of its own where every other job takes sounds for posts.

And, beside the posts, the table of what was known of each post's sound when it was posted.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pyarrow as pa

from jobs.runtime.buckets import MAX_TASKS, bucket_rows
from jobs.runtime.session import session
from viral.console.commands import execute
from viral.console.options import common, on_ray
from viral.console.output import say
from viral.errors import TableError
from viral.sounds.history import HISTORY, HISTORY_NEEDED, histories_of
from viral.sounds.sounds import NEEDED, sounds_of, sounds_root
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.bucketed import bucket_of
from viral.tables.places import posts_table
from viral.tables.run_log import recorded
from viral.tables.schemas import SOUND_HISTORY

if TYPE_CHECKING:
    from ray.data import Dataset
    from ray.data.grouped_data import GroupedData


@dataclass
class SoundsSummary:
    """The root of the sounds, and what it holds now."""

    root: str
    posts: int = 0
    without_sound_id: int = 0
    sounds: int = 0
    without_audio: int = 0
    changed: int = 0
    posts_with_history: int = 0


def run(store: Store, *, address: str | None = None, debug: bool = False) -> SoundsSummary:
    """Gather the posts of each sound, and fold one row a sound into the table of the sounds' root.

    What was known of each post's sound before the post is noted in a table of the posts' root, `sound_history`. Ray
    Data shuffles the narrow columns by bucket of the sound; a task holds one bucket, so all posts of one sound must
    fit in memory: about 300 bytes each. The same call again changes no sound; a backfill that looks at `sound_history`
    meanwhile is told to run again, since it is made anew.

    Raises:
        TableError: there are no posts, or none that names its sound.
    """
    posts, into = posts_table(store), sounds_root(store)
    bits = posts.bits()
    summary = SoundsSummary(into.root, sum(part.rows for part in posts.parts()))
    if not summary.posts:
        raise TableError(f"the posts table of {store.root} is empty: ingest some first (viral ingest)")
    with session(address, debug=debug):
        for row in _folded(store, bits).iter_rows():
            summary.sounds += row["sounds"]
            summary.without_sound_id += row["without"]
            summary.without_audio += row["silent"]
            summary.changed += row["changed"]
        summary.posts_with_history = _write_history(store, bits, summary.posts) if summary.sounds else 0
    if not summary.sounds:
        raise TableError(f"no post of {store.root} names its sound: ingest posts with sound_id (--map sound_id=…)")
    posts_table(into).sweep(bits)
    return summary


def _by_sound(store: Store, bits: int, columns: tuple[str, ...]) -> GroupedData:
    """Those columns of the posts, all posts of a sound together."""

    def read(batch: pa.Table) -> pa.Table:
        [bucket] = batch["bucket"].to_pylist()
        rows = posts_table(store).read(bits, bucket, columns)
        return rows.append_column("bucket", pa.array(bucket_of(rows["sound_id"].fill_null(""), bits), pa.int64()))

    rows = bucket_rows(bits).map_batches(read, batch_size=1, batch_format="pyarrow")
    return rows.groupby("bucket", num_partitions=_partitions(bits))


def _partitions(bits: int) -> int:
    """Of a shuffle: Ray's own number, 200, is too many for few buckets."""
    return min(1 << bits, MAX_TASKS)


def _write_history(store: Store, bits: int, posts: int) -> int:
    """Make the table of what was known of sounds anew, shuffled back to the buckets of the posts; its rows."""
    generation = uuid.uuid4().hex[:12]
    table = replaced.begin(store, HISTORY, SOUND_HISTORY, generation)

    def tell(posts: pa.Table) -> pa.Table:
        rows = histories_of(posts)
        return rows.append_column("bucket", pa.array(bucket_of(rows["post_id"], bits), pa.int64()))

    def write(rows: pa.Table) -> pa.Table:
        table.append(rows, bits)
        return pa.table({"rows": [rows.num_rows]})

    told = _by_sound(store, bits, HISTORY_NEEDED).map_groups(tell, batch_format="pyarrow")
    written = told.groupby("bucket", num_partitions=_partitions(bits)).map_groups(write, batch_format="pyarrow")
    count: int = sum(row["rows"] for row in written.iter_rows())
    replaced.commit(store, HISTORY, generation, {"rows": count, "posts": posts})
    return count


def _folded(store: Store, bits: int) -> Dataset:
    """What is told of each bucket of sounds, when it is in the table."""

    def fold(rows: pa.Table) -> pa.Table:
        bucket = int(rows["bucket"][0].as_py())
        sounds = sounds_of(rows.drop_columns("bucket"), store)
        changed = posts_table(sounds_root(store)).merge(sounds, bits, bucket) if sounds.num_rows else 0
        told: dict[str, Any] = {
            "sounds": sounds.num_rows,
            "without": int(np.sum([not each for each in rows["sound_id"].to_pylist()])),
            "silent": sounds["video_uri"].null_count,
            "changed": changed,
        }
        return pa.Table.from_pylist([told])

    return _by_sound(store, bits, NEEDED).map_groups(fold, batch_format="pyarrow")


@click.command()
@on_ray
@common
def command(root: str, address: str | None, as_json: bool, debug: bool) -> None:
    """One row a sound, made of its posts, into ROOT/sounds: a root whose posts are sounds.

    And for each post what was known of its sound before it: the extractor `popularity` looks at that.
    """
    store = Store.open(root)
    say(recorded(store, "sounds", lambda _: run(store, address=address, debug=debug)), as_json=as_json)


if __name__ == "__main__":
    execute(command)
