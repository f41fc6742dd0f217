"""Generation of a synthetic corpus: clips, the table of posts, and the planted truth."""

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

from viral.console.output import ProgressCallback
from viral.demo.clip import render
from viral.demo.plan import (
    CUT_RATE,
    DAYS,
    FIRST_DAY,
    OPENING_DB,
    Author,
    Clip,
    PlannedPost,
    PlannedSound,
    plan_clip,
    plan_post,
    plan_posts,
)
from viral.demo.spec import CorpusSpec
from viral.demo.truth import identity, post_truth, readme, truth
from viral.errors import RootError, StorageError, ViralError

POSTS_FILE = "posts.csv"
TRUTH_FILE = "truth.json"
NEW_FOLDER = "new"


def generate(
    folder: Path, spec: CorpusSpec | None = None, *, workers: int = 2, progress: ProgressCallback | None = None
) -> Path:
    """Write the corpus, or its missing files, into `folder`; return the folder.

    `posts.csv` is written last: a folder with this file is complete and is left as it is.

    Args:
        folder: a new or empty folder, or one with all or part of this corpus.
        spec: the specification; default: 400 posts by 80 authors.
        workers: processes that render; 1 renders in this process. With more, a script must guard its calls by
            `if __name__ == "__main__"`.
        progress: called after each clip.

    Raises:
        RootError: the folder contains other files.
        StorageError: the folder cannot be written.
        ViralError: a rendering process died.
    """
    spec, report = spec or CorpusSpec(), progress or (lambda _done, _all: None)
    with _storage(folder):
        _check(folder, spec)
        if (folder / POSTS_FILE).exists():
            report(spec.posts, spec.posts)
            return folder
        posts = plan_posts(spec)
        folder.mkdir(parents=True, exist_ok=True)
        # Written before any clip, because this file identifies an incomplete corpus.
        _write(folder / TRUTH_FILE, json.dumps(truth(spec, posts), indent=1) + "\n")
        _write(folder / "README.txt", readme(spec))
        _render_missing(folder / "videos", spec, [post.clip for post in posts], workers, report)
        _write(folder / POSTS_FILE, posts_csv(posts))
    return folder


def new_clip(folder: Path, spec: CorpusSpec | None = None) -> tuple[Path, dict[str, Any]]:
    """Write one more clip, by an author outside the corpus, to `folder`/new; return its path and its metadata.

    Its content is planted to get many views: many cuts, a loud opening, a mishap. The dict has `caption`,
    `author_followers`, `posted_at` and `truth`, with `content_score` and `corpus_share_below`: the fraction of the
    corpus with a lower content score.

    Raises:
        StorageError: the folder cannot be written.
    """
    spec = spec or CorpusSpec()
    post = _plan_new_post(spec)
    path = folder / NEW_FOLDER / f"{post.clip.post_id}.mp4"
    # Planned again, not read: the plan is a function of the spec.
    below = [other.score < post.score for other in plan_posts(spec)]
    metadata = {
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
        _write(path.with_suffix(".json"), json.dumps(metadata, indent=1) + "\n")
    return path, metadata


def posts_csv(posts: Sequence[PlannedPost]) -> str:
    """Format the posts as CSV with columns of `schemas.POSTS`; unknown values are empty."""
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


def _title(sound: PlannedSound) -> str:
    return "original sound" if sound.original else f"Synthetic tune no. {sound.number}"


def _plan_new_post(spec: CorpusSpec) -> PlannedPost:
    # Near the upper end of each trait, but within the range that a model has seen.
    rate = CUT_RATE[0] + 0.9 * (CUT_RATE[1] - CUT_RATE[0])
    loud = OPENING_DB[0] + 0.9 * (OPENING_DB[1] - OPENING_DB[0])
    seconds = sum(spec.seconds) / 2
    tune = PlannedSound(number=spec.posts, original=True, opening_db=loud, body_db=-24.0)
    clip = plan_clip(spec, f"demo-{spec.seed}-new", spec.posts, seconds=seconds, cut_rate=rate, sound=tune)
    return plan_post(
        spec,
        clip,
        author=Author(f"author-{spec.seed}-new", strength=0.0, followers=4900),
        mishap=True,
        follower_count_known=True,
        # After all posts of the corpus, as a draft would be.
        posted_at=FIRST_DAY + timedelta(days=DAYS, hours=18),
        noise=0.0,
    )


def _check(folder: Path, spec: CorpusSpec) -> None:
    """Raise RootError if the folder contains anything but this corpus."""
    truth_file = folder / TRUTH_FILE
    if truth_file.exists():
        if not _is_truth_of(truth_file, spec):
            raise RootError(f"{folder} holds another corpus: choose an empty folder, or the options of that corpus")
    elif folder.exists() and any(path.suffix != ".part" and path.name != NEW_FOLDER for path in folder.iterdir()):
        raise RootError(f"{folder} holds other files and no {TRUTH_FILE}: choose an empty folder for the corpus")


def _is_truth_of(path: Path, spec: CorpusSpec) -> bool:
    try:
        stored = json.loads(path.read_text())
    except ValueError:
        return False
    return isinstance(stored, dict) and identity(spec).items() <= stored.items()


def _render_missing(
    videos: Path, spec: CorpusSpec, clips: Sequence[Clip], workers: int, progress: ProgressCallback
) -> None:
    videos.mkdir(exist_ok=True)
    paths = [videos / f"{clip.post_id}.mp4" for clip in clips]
    # Only what is missing: an interrupted corpus is completed.
    jobs = [partial(render, clip, spec, path) for clip, path in zip(clips, paths, strict=True) if not path.exists()]
    done = len(clips) - len(jobs)
    progress(done, len(clips))
    for count, _ in enumerate(_run(jobs, workers), start=done + 1):
        progress(count, len(clips))


def _run(jobs: Sequence[Callable[[], None]], workers: int) -> Iterator[None]:
    """Run the jobs; yield after each, in the order of completion."""
    if min(workers, len(jobs)) <= 1:
        yield from (job() for job in jobs)
        return
    # Spawned, because forking a process with threads (torch, a progress bar) can hang.
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            yield from (future.result() for future in as_completed(futures))
        except BrokenProcessPool as error:
            raise ViralError("a rendering process died: run it again with fewer workers to continue") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _write(path: Path, text: str) -> None:
    """Write a file atomically, unless it has this content already."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


@contextmanager
def _storage(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"the corpus cannot be written to {folder}: {error}") from error
