"""`viral monitor label`: sample frames to label as examples and negatives of a target."""

from __future__ import annotations

from pathlib import Path

import click
import pyarrow.compute as pc

from viral.config import load
from viral.console.options import root_options
from viral.console.output import all_failed, print_summary, progress_bar
from viral.errors import ConfigError
from viral.monitor.feeds.feed import FeedItem
from viral.monitor.feeds.folder import VIDEO_FILES, list_videos
from viral.monitor.labelling.sampling import NEGATIVE, POSITIVE, UNLABELLED, LabelFolder, sample_frames
from viral.monitor.targets import check_faces, load_detector
from viral.monitor.watch.seen import digest
from viral.storage.store import Store
from viral.tables.places import load_posts
from viral.tables.posts import is_web_address


@click.command()
@click.argument("videos", nargs=-1)
@click.option("--all", "all_posts", is_flag=True, help="Videos of the posts of the root, in place of VIDEOS.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the frames.")
@click.option("--target", help="Choose the frames that this target's detector is unsure of.")
@click.option("--frames", "count", type=click.IntRange(1), default=100, show_default=True, help="Frames to write.")
@click.option("--max-videos", "limit", type=click.IntRange(1), default=200, show_default=True, help="Videos to read.")
@root_options
def command(
    videos: tuple[str, ...],
    all_posts: bool,
    out: Path,
    target: str | None,
    count: int,
    limit: int,
    root: str,
    as_json: bool,
    debug: bool,
) -> None:
    """Write frames of VIDEOS (files, folders, s3:// URIs) to OUT/unlabelled, for you to sort.

    Move those that show the target to OUT/positive, the others to OUT/negative. The first ones by name say most. Run it
    again for more: it repeats none that is in OUT.
    """
    del debug  # handled by the caller of all commands
    store = Store.open(root)
    if all_posts == bool(videos):
        raise ConfigError("name videos, or give --all for those of the root's posts")
    items = _of_posts(store) if all_posts else [item for uri in videos for item in _listed(uri)]
    if not items:
        raise ConfigError(f"there are no stored videos in {root if all_posts else ', '.join(videos)}")
    # A sample that stays the same, whatever is added.
    items = sorted(items, key=lambda item: digest(item.post_id))[:limit]
    settings, folder = load(), LabelFolder(out.expanduser().absolute())
    detector = load_detector(store, target) if target else None
    if detector:
        check_faces(detector.card, on=settings.monitor.faces)
    progress = progress_bar("label", unit="video")
    summary = sample_frames(store, settings, items, folder, count, detector, _log, progress)
    if not summary.videos:
        raise all_failed(summary.failed, "videos failed", summary.failures)
    print_summary(summary, as_json=as_json)
    if not as_json:
        folders = f"--examples {out / POSITIVE} --negatives {out / NEGATIVE}"
        click.echo(
            f"sort {out / UNLABELLED} into {out / POSITIVE} (shows the target) and {out / NEGATIVE} (does not), then"
        )
        click.echo(f"viral monitor target add {target or 'NAME'} {folders}")


def _log(line: str) -> None:
    click.echo(line, err=True)  # with --json, standard output is the summary's


def _of_posts(store: Store) -> list[FeedItem]:
    posts = load_posts(store, ["post_id", "video_uri"])
    posts = posts.filter(pc.is_valid(posts["video_uri"]))
    rows = zip(posts["post_id"].to_pylist(), posts["video_uri"].to_pylist(), strict=True)
    return [FeedItem(post_id, video_uri=uri) for post_id, uri in rows if not is_web_address(uri)]


def _listed(uri: str) -> list[FeedItem]:
    """The videos at a path or URI."""
    if is_web_address(uri):
        raise ConfigError(f"{uri} is on the web: store it first (viral fetch), then name the file")
    if uri.lower().endswith(VIDEO_FILES):
        uri = uri if uri.startswith("s3://") else str(Path(uri).expanduser().absolute())
        return [FeedItem(uri.rpartition("/")[2].rpartition(".")[0], video_uri=uri)]
    return list_videos(Store.open(uri))
