"""`viral sounds`: posts → one row per sound, and the popularity of each post's sound before the post."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import pyarrow as pa

from jobs.runtime.buckets import MAX_TASKS, bucket_dataset, iter_objects, object_batch
from jobs.runtime.session import session
from viral.console.commands import execute
from viral.console.options import ray_options, root_options
from viral.console.output import print_summary
from viral.errors import TableError
from viral.sounds.history import HISTORY_COLUMNS, HISTORY_TABLE, compute_history
from viral.sounds.sounds import SOUND_COLUMNS, aggregate_sounds, sounds_root
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.bucketed import bucket_of
from viral.tables.places import posts_table
from viral.tables.posts import no_posts_error
from viral.tables.run_log import record_run
from viral.tables.schemas import SOUND_HISTORY

if TYPE_CHECKING:
    from ray.data.grouped_data import GroupedData


@dataclass
class SoundsSummary:
    """Root of the sounds, and counts of posts and sounds."""

    root: str
    posts: int = 0
    without_sound_id: int = 0
    sounds: int = 0
    without_audio: int = 0
    changed: int = 0
    posts_with_history: int = 0


def run(store: Store, *, address: str | None = None, debug: bool = False) -> SoundsSummary:
    """Aggregate the posts of each sound into one row, in the posts table of a root of its own (`sounds_root`).

    Also rewrites the table `sound_history`; a backfill that reads it meanwhile fails and asks to be run again.
    Ray Data shuffles narrow columns by bucket of the sound. A task holds one bucket, so all posts of one sound must fit
    in memory, at about 300 bytes each. A second run without new posts changes no sound.

    Raises:
        TableError: there are no posts, or none has a `sound_id`.
    """
    posts, into = posts_table(store), sounds_root(store)
    log2_buckets, stored_posts = posts.log2_buckets(), posts.stored_rows()
    if not stored_posts:
        raise no_posts_error(store)
    counts: Counter[str] = Counter()
    with session(address, store, debug=debug):
        for bucket_counts in _merge_sounds(store, log2_buckets):
            counts.update(bucket_counts)
        # A pass of its own: it needs the posts one by one, where the sounds need them aggregated.
        with_history = _write_history(store, log2_buckets, stored_posts) if counts["sounds"] else 0
    # After the session, so that both passes are over; without a sound, the second one did not run.
    if not counts["sounds"]:
        raise TableError(f"no post of {store.root} has a sound_id: ingest posts with sound_id (--map sound_id=…)")
    posts_table(into).drop_superseded(log2_buckets)
    return SoundsSummary(into.root, stored_posts, posts_with_history=with_history, **counts)


def _by_sound(store: Store, log2_buckets: int, columns: tuple[str, ...]) -> GroupedData:
    """Read columns of the posts and group them by bucket of the sound."""

    def read(batch: pa.Table) -> pa.Table:
        """Read the bucket that the batch names."""
        [bucket] = batch["bucket"].to_pylist()
        return _read(store, log2_buckets, bucket, columns)

    rows = bucket_dataset(log2_buckets).map_batches(read, batch_size=1, batch_format="pyarrow")
    return rows.groupby("bucket", num_partitions=_partitions(log2_buckets))


def _read(store: Store, log2_buckets: int, bucket: int, columns: tuple[str, ...]) -> pa.Table:
    """Read one bucket of posts; each row gets the bucket of its sound."""
    # Posts are stored by post id: a shuffle brings those of one sound together.
    rows = posts_table(store).read(log2_buckets, bucket, columns)
    return _with_bucket(rows, rows["sound_id"].fill_null(""), log2_buckets)


def _with_bucket(rows: pa.Table, keys: pa.ChunkedArray, log2_buckets: int) -> pa.Table:
    return rows.append_column("bucket", pa.array(bucket_of(keys, log2_buckets), pa.int64()))


def _partitions(log2_buckets: int) -> int:
    """Number of shuffle partitions, because Ray's default of 200 is too many for few buckets."""
    return min(1 << log2_buckets, MAX_TASKS)


def _write_history(store: Store, log2_buckets: int, posts: int) -> int:
    """Rewrite the history table, in buckets of posts; return the number of rows."""
    version = uuid.uuid4().hex[:12]
    table = replaced.begin(store, HISTORY_TABLE, SOUND_HISTORY, version)

    def compute(posts: pa.Table) -> pa.Table:
        """History of all posts of some sounds; each row gets the bucket of its post."""
        rows = compute_history(posts)
        return _with_bucket(rows, rows["post_id"], log2_buckets)

    def write(rows: pa.Table) -> int:
        """Store one bucket of the history and return its number of rows."""
        table.append(rows, log2_buckets)
        return int(rows.num_rows)

    if log2_buckets:
        count = _write_on_ray(store, log2_buckets, compute, write)
    else:  # a single bucket: nothing to shuffle
        count = write(compute(_read(store, 0, 0, HISTORY_COLUMNS)))
    replaced.commit(store, HISTORY_TABLE, version, {"rows": count, "posts": posts})
    return count


def _write_on_ray(
    store: Store, log2_buckets: int, compute: Callable[[pa.Table], pa.Table], write: Callable[[pa.Table], int]
) -> int:
    history = _by_sound(store, log2_buckets, HISTORY_COLUMNS).map_groups(compute, batch_format="pyarrow")
    # Back to buckets of posts, in which a backfill reads the history.
    written = history.groupby("bucket", num_partitions=_partitions(log2_buckets)).map_groups(
        lambda rows: object_batch([write(rows)]), batch_format="pyarrow"
    )
    count: int = sum(iter_objects(written))
    return count


def _merge_sounds(store: Store, log2_buckets: int) -> Iterator[dict[str, int]]:
    """Aggregate and merge each bucket of sounds; yield counts per bucket."""

    def merge(rows: pa.Table) -> dict[str, int]:
        """Store one bucket of sounds and return its counts."""
        bucket = int(rows["bucket"][0].as_py())
        sounds = aggregate_sounds(rows.drop_columns("bucket"), store)
        changed = posts_table(sounds_root(store)).merge(sounds, log2_buckets, bucket) if sounds.num_rows else 0
        return {
            "sounds": sounds.num_rows,
            "without_sound_id": sum(not sound_id for sound_id in rows["sound_id"].to_pylist()),
            "without_audio": sounds["video_uri"].null_count,
            "changed": changed,
        }

    if not log2_buckets:  # a single bucket: nothing to shuffle
        return iter([merge(_read(store, 0, 0, SOUND_COLUMNS))])
    groups = _by_sound(store, log2_buckets, SOUND_COLUMNS)
    return iter_objects(groups.map_groups(lambda rows: object_batch([merge(rows)]), batch_format="pyarrow"))


@click.command()
@ray_options
@root_options
def command(root: str, address: str | None, as_json: bool, debug: bool) -> None:
    """Aggregate the posts of each sound into one row of ROOT/sounds, a root whose posts are sounds.

    Also compute the popularity of each post's sound before the post, which the extractor `popularity` reads.
    """
    store = Store.open(root)
    print_summary(record_run(store, "sounds", lambda _: run(store, address=address, debug=debug)), as_json=as_json)


if __name__ == "__main__":
    execute(command)
