"""`viral explain` on a model that was trained on the 43 real videos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jobs.explain import command
from jobs.score import command as score_command
from viral.explain import ASSOCIATIONS

WORDS = (
    "--caption",
    "wait for it",
    "--author-followers",
    "1200",
    "--posted-at",
    "2025-03-01T09:30",
    "--sound-original",
)


@pytest.fixture(scope="module")
def videos(shared_data: Path, shortest: list[str]) -> list[str]:
    """Two of the real videos, five to six seconds long."""
    return [str(shared_data / "tiktok_videos" / "videos" / f"{name}.mp4") for name in shortest[:2]]


def asked(tiktoks: Any, *arguments: str, entry: Any = command) -> Result:
    return CliRunner().invoke(entry, [*arguments, "--root", tiktoks.store.root, "--model", "tiktoks"])


def test_one_file_is_explained(tiktoks: Any, videos: list[str]) -> None:
    said = json.loads(asked(tiktoks, videos[0], *WORDS, "--json").stdout)
    scored = json.loads(asked(tiktoks, videos[0], *WORDS, "--json", entry=score_command).stdout)
    assert {name: said[name] for name in scored} == scored
    explanation = said["explanation"]
    points = explanation["hook"]["points"]
    assert [point["seconds"] for point in points[:3]] == [1, 2, 3]
    assert points[-1]["scored"]["score"] == scored["score"]
    parts = explanation["segments"]["parts"]
    assert parts[-1]["stop"] == points[-1]["seconds"]
    assert any(part["change"] for part in parts)
    assert [each["said"] for each in explanation["what_if"]["tried"]] == [
        *("trim_start=1", "trim_end=1"),
        *("hour=0", "hour=6", "hour=12", "hour=18", "sound=reused"),
    ]
    assert said["meaning"] == ASSOCIATIONS


def test_what_is_asked_for_is_tried(tiktoks: Any, videos: list[str]) -> None:
    done = asked(tiktoks, videos[0], *WORDS, "--what-if", "caption=other words", "--what-if", "followers=5")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == videos[0]
    assert lines[-1] == ASSOCIATIONS
    titles = [line for line in lines if not line.startswith(" ")][1:-1]
    found = [title.partition(":")[0] for title in titles]
    assert found == [
        "modalities",
        "nearest training posts by others, and what became of them",
        *("hook curve", "segments", "what if"),
    ]
    assert [line.split("  ")[1] for line in lines[-3:-1]] == ["caption=other words", "followers=5"]


def test_several_files_are_ranked(tiktoks: Any, videos: list[str]) -> None:
    drafts = json.loads(asked(tiktoks, *videos, *WORDS, "--json").stdout)["drafts"]
    alone = [json.loads(asked(tiktoks, file, *WORDS, "--json", entry=score_command).stdout) for file in videos]
    expected = sorted(alone, key=lambda scored: -scored["score"])
    assert [(draft["name"], draft["scored"]["score"]) for draft in drafts] == [
        (scored["file"], scored["score"]) for scored in expected
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.mp4",), "missing_object"),
        (("a.mp4", "a.mp4"), "a FILE is named twice"),
        (("a.mp4", "b.mp4", "--what-if", "hour=3"), "--what-if is of one FILE"),
        (("a.mp4", "--what-if", "colour=red"), "there is no change 'colour=red'"),
    ],
)
def test_what_cannot_be_explained_is_one_line(tiktoks: Any, arguments: tuple[str, ...], said: str) -> None:
    done = asked(tiktoks, *arguments)
    assert done.exit_code != 0
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)
