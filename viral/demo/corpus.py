"""Writes a synthetic corpus: clips, the table of posts, and what was planted."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from viral.demo.clip import render
from viral.demo.plan import (
    CUT_RATE,
    DAYS,
    FIRST_DAY,
    OPENING_DB,
    Author,
    Clip,
    PlannedPost,
    Sound,
    plan_clip,
    plan_post,
    plan_posts,
)
from viral.demo.spec import CorpusSpec
from viral.demo.truth import identity, post_truth, readme, truth
from viral.errors import RootError, StorageError, ViralError

Progress = Callable[[int, int], None]
"""Called with the number of clips that are there, and of all clips."""

POSTS_FILE = "posts.csv"
TRUTH_FILE = "truth.json"
NEW_FOLDER = "new"


def generate(
    folder: Path, spec: CorpusSpec | None = None, *, workers: int = 2, progress: Progress | None = None
) -> Path:
    """Write the corpus into `folder`, or what is still missing there, and return the folder.

    `posts.csv` comes last, so a folder that has one is whole. A folder that is whole stays untouched.

    Args:
        folder: made if need be; empty, or holding this very corpus in part or whole.
        spec: what the corpus shall be; the default is 400 posts by 80 authors.
        workers: processes that render; 1 renders in this one. A script that asks for more needs the usual
            `if __name__ == "__main__"` around its work.
        progress: called after each clip.

    Raises:
        RootError: the folder holds something else.
        StorageError: the folder cannot be written.
        ViralError: a process that renders died.
    """
    spec, report = spec or CorpusSpec(), progress or (lambda _done, _all: None)
    with _storage(folder):
        _check(folder, spec)
        if (folder / POSTS_FILE).exists():
            report(spec.posts, spec.posts)
            return folder
        posts = plan_posts(spec)
        folder.mkdir(parents=True, exist_ok=True)
        # Before any clip: by this file a half-made folder is known again.
        _write(folder / TRUTH_FILE, json.dumps(truth(spec, posts), indent=1) + "\n")
        _write(folder / "README.txt", readme(spec))
        _render_missing(folder / "videos", spec, [post.clip for post in posts], workers, report)
        _write(folder / POSTS_FILE, posts_csv(posts))
    return folder


def new_clip(folder: Path, spec: CorpusSpec | None = None) -> tuple[Path, dict[str, Any]]:
    """One more clip, by an author outside the corpus, below `folder`/new: the path and what is known of it.

    Its content is planted to do well: many cuts, a loud opening, a mishap. Beside `caption`, `author_followers` and
    `posted_at` the dict holds `truth`, with `content_score` and `corpus_share_below`, the share of the corpus's posts
    whose content scores lower.

    Raises:
        StorageError: the folder cannot be written.
    """
    spec = spec or CorpusSpec()
    post = _newcomer(spec)
    path = folder / NEW_FOLDER / f"{post.clip.post_id}.mp4"
    below = [other.score < post.score for other in plan_posts(spec)]
    known = {
        "post_id": post.clip.post_id,
        "caption": post.caption,
        "author_followers": post.followers,
        "posted_at": post.posted_at.isoformat(),
        "truth": post_truth(post, spec) | {"corpus_share_below": sum(below) / len(below)},
    }
    with _storage(folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            render(post.clip, spec, path)
        _write(path.with_suffix(".json"), json.dumps(known, indent=1) + "\n")
    return path, known


def posts_csv(posts: Sequence[PlannedPost]) -> str:
    """The table of posts, in the columns of `tables.POSTS`; what is not known is empty."""
    rows = [_row(post) for post in posts]
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def _row(post: PlannedPost) -> dict[str, str | int | float | None]:
    sound, post_id = post.clip.sound, post.clip.post_id
    return {
        "post_id": post_id,
        "author_id": post.author.author_id,
        "posted_at": post.posted_at.isoformat(),
        "scraped_at": post.scraped_at.isoformat(),
        "caption": post.caption,
        "sound_id": f"sound-{sound.number:04d}" if sound else None,
        "sound_title": _title(sound) if sound else None,
        "sound_original": str(sound.original).lower() if sound else None,
        "duration_seconds": round(post.duration_seconds, 3),
        **post.counts,
        "author_followers": post.followers,
        "video_uri": f"videos/{post_id}.mp4",
    }


def _title(sound: Sound) -> str:
    return "original sound" if sound.original else f"Synthetic tune no. {sound.number}"


def _newcomer(spec: CorpusSpec) -> PlannedPost:
    rate = CUT_RATE[0] + 0.9 * (CUT_RATE[1] - CUT_RATE[0])
    loud = OPENING_DB[0] + 0.9 * (OPENING_DB[1] - OPENING_DB[0])
    seconds = sum(spec.seconds) / 2
    tune = Sound(number=spec.posts, original=True, opening_db=loud, body_db=-24.0)
    clip = plan_clip(spec, f"demo-{spec.seed}-new", spec.posts, seconds=seconds, cut_rate=rate, sound=tune)
    return plan_post(
        spec,
        clip,
        author=Author(f"author-{spec.seed}-new", strength=0.0, followers=4900),
        mishap=True,
        follower_count_known=True,
        posted_at=FIRST_DAY + timedelta(days=DAYS, hours=18),
        surprise=0.0,
    )


def _check(folder: Path, spec: CorpusSpec) -> None:
    """Refuse a folder that holds anything but this corpus."""
    known = folder / TRUTH_FILE
    if known.exists():
        if not _is_truth_of(known, spec):
            raise RootError(f"{folder} holds another corpus: choose an empty folder, or ask for the same corpus again")
    elif folder.exists() and any(path.suffix != ".part" and path.name != NEW_FOLDER for path in folder.iterdir()):
        raise RootError(f"{folder} holds other files and no {TRUTH_FILE}: choose an empty folder for the corpus")


def _is_truth_of(path: Path, spec: CorpusSpec) -> bool:
    try:
        known = json.loads(path.read_text())
    except ValueError:
        return False
    return isinstance(known, dict) and identity(spec).items() <= known.items()


def _render_missing(videos: Path, spec: CorpusSpec, clips: Sequence[Clip], workers: int, progress: Progress) -> None:
    videos.mkdir(exist_ok=True)
    paths = [videos / f"{clip.post_id}.mp4" for clip in clips]
    jobs = [partial(render, clip, spec, path) for clip, path in zip(clips, paths, strict=True) if not path.exists()]
    done = len(clips) - len(jobs)
    progress(done, len(clips))
    for count, _ in enumerate(_run(jobs, workers), start=done + 1):
        progress(count, len(clips))


def _run(jobs: Sequence[Callable[[], None]], workers: int) -> Iterator[None]:
    """Runs the jobs, with one item after each, in whatever order they end."""
    if min(workers, len(jobs)) <= 1:
        yield from (job() for job in jobs)
        return
    # Spawned, since a fork of a process with threads (torch, a progress bar) may hang.
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            yield from (future.result() for future in as_completed(futures))
        except BrokenProcessPool as error:
            raise ViralError(
                "a process that renders clips died: run it again with fewer workers, it goes on"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _write(path: Path, text: str) -> None:
    """Write aside, then rename; a file that already says so stays untouched."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    aside = path.with_name(path.name + ".part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


@contextmanager
def _storage(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"the corpus cannot be written to {folder}: {error}") from error
