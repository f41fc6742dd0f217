"""The posts table → one row a sound, in a root of its own where every other job takes sounds for posts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pyarrow as pa

from jobs.buckets import bucket_rows
from jobs.ingest import posts_table
from jobs.session import session
from viral.cli import common, execute, on_ray, say
from viral.errors import TableError
from viral.history import recorded
from viral.parts import bucket_of
from viral.sounds import NEEDED, sounds_of, sounds_root
from viral.store import Store

if TYPE_CHECKING:
    from ray.data import Dataset


@dataclass
class SoundsSummary:
    """The root of the sounds, and what it holds now."""

    root: str
    posts: int = 0
    without_sound_id: int = 0
    sounds: int = 0
    without_audio: int = 0
    changed: int = 0


def run(store: Store, *, address: str | None = None, debug: bool = False) -> SoundsSummary:
    """Gather the posts of each sound and fold one row a sound into the table of the sounds' root.

    Ray Data shuffles the narrow columns by bucket of the sound; a task holds one bucket, so all posts of one sound
    must fit in memory: about 300 bytes each. The same call again changes nothing.

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
    if not summary.sounds:
        raise TableError(f"no post of {store.root} names its sound: ingest posts with sound_id (--map sound_id=…)")
    posts_table(into).sweep(bits)
    return summary


def _folded(store: Store, bits: int) -> Dataset:
    """What is told of each bucket of sounds, when it is in the table."""

    def read(batch: pa.Table) -> pa.Table:
        [bucket] = batch["bucket"].to_pylist()
        rows = posts_table(store).read(bits, bucket, NEEDED)
        keys = rows["sound_id"].fill_null("")
        return rows.append_column("bucket", pa.array(bucket_of(keys, bits), pa.int64()))

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

    narrow = bucket_rows(bits).map_batches(read, batch_size=1, batch_format="pyarrow")
    return narrow.groupby("bucket").map_groups(fold, batch_format="pyarrow")


@click.command()
@on_ray
@common
def command(root: str, address: str | None, as_json: bool, debug: bool) -> None:
    """One row a sound, made of its posts, into ROOT/sounds: a root whose posts are sounds."""
    store = Store.open(root)
    say(recorded(store, "sounds", lambda _: run(store, address=address, debug=debug)), as_json=as_json)


if __name__ == "__main__":
    execute(command)
