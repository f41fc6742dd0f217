"""`viral explain` on a model that was trained on the synthetic corpus."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from jobs.explain import command
from jobs.score import command as score_command
from viral.explain import ASSOCIATIONS
from viral.tables.places import load_labels, posts_table
from viral.tables.schemas import POSTS

OPTIONS = (
    "--caption",
    "wait for it",
    "--author-followers",
    "1200",
    "--posted-at",
    "2025-03-01T09:30",
    "--sound-original",
)


@pytest.fixture(scope="module")
def videos(clips: list[Path]) -> list[str]:
    """Two clips of about four seconds."""
    return [str(clip) for clip in clips[-2:]]


def run(flow: Any, *arguments: str, entry: Any = command) -> Result:
    return CliRunner().invoke(entry, [*arguments, "--root", flow.store.root, "--model", "fused"])


def test_one_file_is_explained(flow: Any, videos: list[str]) -> None:
    output = json.loads(run(flow, videos[0], *OPTIONS, "--json").stdout)
    scored = json.loads(run(flow, videos[0], *OPTIONS, "--json", entry=score_command).stdout)
    assert {name: output[name] for name in scored} == scored
    explanation = output["explanation"]
    points = explanation["hook"]["points"]
    assert [point["seconds"] for point in points[:3]] == [1, 2, 3]
    assert points[-1]["scored"]["score"] == scored["score"]
    parts = explanation["segments"]["parts"]
    assert parts[-1]["stop"] == points[-1]["seconds"]
    assert any(part["change"] for part in parts)
    assert [change["said"] for change in explanation["what_if"]["tried"]] == [
        *("trim_start=1", "trim_end=1"),
        *("hour=0", "hour=6", "hour=12", "hour=18", "sound=reused"),
    ]
    assert output["meaning"] == ASSOCIATIONS


def test_what_is_asked_for_is_tried(flow: Any, videos: list[str]) -> None:
    result = run(flow, videos[0], *OPTIONS, "--what-if", "caption=other words", "--what-if", "followers=5")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == videos[0]
    assert lines[-1] == ASSOCIATIONS
    titles = [line for line in lines if not line.startswith(" ")][1:-1]
    names = [title.partition(":")[0] for title in titles]
    assert names == [
        "modalities",
        "nearest training posts by others, and what became of them",
        *("hook curve", "segments", "what if"),
    ]
    assert [line.split("  ")[1] for line in lines[-3:-1]] == ["caption=other words", "followers=5"]


def test_several_files_are_ranked(flow: Any, videos: list[str]) -> None:
    drafts = json.loads(run(flow, *videos, *OPTIONS, "--json").stdout)["drafts"]
    alone = [json.loads(run(flow, file, *OPTIONS, "--json", entry=score_command).stdout) for file in videos]
    expected = sorted(alone, key=lambda scored: -scored["score"])
    assert [(draft["name"], draft["scored"]["score"]) for draft in drafts] == [
        (scored["file"], scored["score"]) for scored in expected
    ]


def label_of(flow: Any, post_id: str) -> dict[str, Any]:
    labels = load_labels(flow.store, "log_views").to_pylist()
    return next(row for row in labels if row["post_id"] == post_id)


def test_a_post_of_the_table_is_explained_with_what_the_platform_says(flow: Any) -> None:
    table = posts_table(flow.store)
    post = table.read().slice(0, 1).to_pylist()[0]
    told = {"sticker_texts": ["wait for it", "now"], "is_ad": False, "scraped_at": datetime(2030, 1, 1, tzinfo=UTC)}
    told = dict.fromkeys(POSTS.names) | {name: post[name] for name in ("post_id", "source")} | told
    table.append(pa.Table.from_pylist([told], schema=POSTS), table.log2_buckets())
    output = json.loads(run(flow, "--post", post["post_id"], "--what-if", "followers=5", "--json").stdout)
    options = ("--caption", post["caption"], "--author-followers", str(post["author_followers"]))
    options += ("--posted-at", f"{post['posted_at']:%Y-%m-%dT%H:%M:%S}")
    options += ("--sound-original",) if post["sound_original"] else ("--sound-reused",)
    options += tuple(f"--hashtag={tag}" for tag in post["hashtags"])
    scored = json.loads(run(flow, post["video_uri"], *options, "--json", entry=score_command).stdout)
    assert output["file"] == post["post_id"]
    assert output["score"] == scored["score"]
    outcome, label = output["explanation"]["outcome"], label_of(flow, post["post_id"])
    assert (outcome["views"], outcome["split"], outcome["target"]) == (post["views"], label["split"], label["target"])
    facts = output["explanation"]["platform"]
    assert {name: fact for name, fact in facts.items() if fact is not None} == {
        "sticker_texts": ["wait for it", "now"],
        "is_ad": False,
    }
    assert [change["said"] for change in output["explanation"]["what_if"]["tried"]] == ["followers=5"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a FILE, or a post"),
        (("--post", "none"), "there is no post none"),
        (("a.mp4", "--post", "1"), "leave out FILE and options"),
        (("none.mp4",), "missing_object"),
        (("a.mp4", "a.mp4"), "a FILE is named twice"),
        (("a.mp4", "b.mp4", "--what-if", "hour=3"), "--what-if is of one FILE"),
        (("a.mp4", "--what-if", "colour=red"), "there is no change 'colour=red'"),
    ],
)
def test_what_cannot_be_explained_is_one_line(flow: Any, arguments: tuple[str, ...], message: str) -> None:
    result = run(flow, *arguments)
    assert result.exit_code != 0
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
