"""`viral duplicates`: list the posts that show the same video: the same file, or near-duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from viral.console.commands import execute
from viral.console.options import root_options
from viral.console.output import print_summary, to_json
from viral.duplicates.clusters import count_unhashed, video_clusters
from viral.duplicates.videos import video_columns
from viral.errors import TableError
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.posts import no_posts_error

_COLUMNS = ["post_id", "posted_at"]


@dataclass(frozen=True)
class Cluster:
    """Posts with the same video, the earliest first.

    `similarity` is the share of equal bits between the hashes of its two least similar matched videos: 1 for one file,
    about 0.5 for unrelated videos.
    """

    post_ids: Sequence[str]
    similarity: float


@dataclass
class DuplicatesSummary:
    """Counts of posts: `unhashed` ones have a file without a perceptual hash; `copies` repeat the video of another."""

    posts: int
    with_video: int
    unhashed: int
    copies: int


def run(store: Store) -> tuple[DuplicatesSummary, list[Cluster]]:
    """Cluster all posts by the hashes in the feature tables, in this process; 1.5 kB per post are held in memory.

    Raises:
        TableError: there are no posts, or no feature table.
    """
    posts = pa.concat_tables(
        [posts_table(store).schema.empty_table().select(_COLUMNS), *posts_table(store).scan(_COLUMNS)]
    )
    if not posts.num_rows:
        raise no_posts_error(store)
    # The earliest post of a cluster counts as the original, the others as its copies; ids decide between equal times.
    posts = posts.sort_by([("posted_at", "ascending"), ("post_id", "ascending")])
    videos = video_columns(store, posts["post_id"])
    known = pc.is_valid(videos["sha256"])
    if not pc.any(known).as_py():
        raise TableError(f"no video of {store.root} has been read: backfill first (viral backfill)")
    clusters = _clusters(posts["post_id"], videos)
    summary = DuplicatesSummary(
        posts=posts.num_rows,
        with_video=pc.sum(known).as_py(),
        unhashed=count_unhashed(videos),
        copies=sum(len(cluster.post_ids) - 1 for cluster in clusters),
    )
    return summary, clusters


def _clusters(post_ids: pa.ChunkedArray, videos: pa.Table) -> list[Cluster]:
    """Clusters of at least two posts, the largest first; the posts of each in the given order."""
    found = video_clusters(videos)
    similarity = np.ones(len(post_ids))
    # The similarity of a cluster is that of its weakest pair.
    np.minimum.at(similarity, found.codes[found.pairs.first], found.pairs.similarity)
    # Posts of one cluster side by side; a stable sort keeps them in the order of time.
    order = np.argsort(found.codes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(found.codes[order])) + 1)
    clusters = [
        Cluster(post_ids.take(pa.array(group)).to_pylist(), round(float(similarity[found.codes[group[0]]]), 3))
        for group in groups
        if len(group) > 1
    ]
    return sorted(clusters, key=lambda cluster: -len(cluster.post_ids))


@click.command()
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(0), help="Clusters to list; --json lists all."
)
@root_options
def command(limit: int, root: str, as_json: bool, debug: bool) -> None:
    """List the posts that show the same video, even if encoded anew, scaled, cropped, mirrored or with a caption bar.

    Backfill first: the hashes of the videos are in the feature tables.
    """
    del debug  # every command has this option; here it has no effect
    summary, clusters = run(Store.open(root))
    if as_json:
        click.echo(to_json({**asdict(summary), "clusters": [asdict(cluster) for cluster in clusters]}))
        return
    print_summary(summary, as_json=False)
    for line in _cluster_lines(clusters, limit):
        click.echo(line)


def _cluster_lines(clusters: Sequence[Cluster], limit: int) -> list[str]:
    shown = [f"{cluster.similarity:10.2f}  {' '.join(cluster.post_ids)}" for cluster in clusters[:limit]]
    title = [f"similarity  posts of each of {len(clusters)} clusters, from old to new"] if shown else []
    more = [f"… and {len(clusters) - limit} clusters more: --limit N or --json"] if len(clusters) > limit else []
    return [*title, *shown, *more]


if __name__ == "__main__":
    execute(command)
