"""What each method sends, and what it makes of the answer."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.client.conftest import Ask
from tests.client.endpoint import FakeEndpoint
from viral.client import EndpointScore
from viral.client.calls import score_call
from viral.errors import ConfigError, EndpointError

VIDEO = np.random.default_rng(0).bytes(100_000)
SHA = hashlib.sha256(VIDEO).hexdigest()
CONTEXT = {
    "caption": "wait\nfor “it”",
    "hashtags": ["fyp", "猫"],
    "posted_at": datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
    "author_followers": 0,
    "sound_original": False,
    "sound_posts_before": None,
    "author_views": (10, 200),
}


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / 'a "draft"\udcff.mp4'  # a name that is no text
    path.write_bytes(VIDEO)
    return path


def test_a_file_and_its_context_are_a_form(ask: Ask, endpoint: FakeEndpoint, video: Path) -> None:
    score = ask("score", video, model="fusion@champion", **CONTEXT)
    assert isinstance(score, EndpointScore)
    assert (score.probability, score.low, score.high, score.in_distribution) == (0.25, 7.0, 11.0, True)
    assert (score.missing, score.rates, score.model, score.seconds) == (
        ("audio",),
        {"likes": -2.0},
        "fusion@champion",
        {"decode": 0.1},
    )
    (seen,) = endpoint.seen
    assert seen.files[0][1] == SHA
    assert seen.fields == {
        "caption": "wait\nfor “it”",
        "hashtags": "fyp 猫",
        "posted_at": "2026-03-01T09:30:00+00:00",
        "author_followers": "0",
        "sound_original": "false",
        "author_views": "10 200",
        "model": "fusion@champion",
    }


def test_each_form_of_a_file_is_sent_whole(ask: Ask, endpoint: FakeEndpoint, video: Path) -> None:
    with video.open("rb") as opened:
        opened.seek(0)
        later = io.BytesIO(b"a head" + VIDEO)
        later.seek(len(b"a head"))
        for file in (video, str(video), VIDEO, opened, later):
            ask("score", file)
    assert [seen.files[0][1] for seen in endpoint.seen] == [SHA] * 5
    assert all(seen.headers["Content-Length"] == str(seen.length) for seen in endpoint.seen)


def test_a_draft_without_a_file_is_json(ask: Ask, endpoint: FakeEndpoint) -> None:
    ask("score", uri="videos/7.mp4", **CONTEXT)
    ask("score", caption="")
    assert endpoint.bodies() == [
        {
            "uri": "videos/7.mp4",
            "caption": "wait\nfor “it”",
            "hashtags": ["fyp", "猫"],
            "posted_at": "2026-03-01T09:30:00+00:00",
            "author_followers": 0,
            "sound_original": False,
            "author_views": [10, 200],
        },
        {"caption": ""},
    ]


def test_explain(ask: Ask, video: Path) -> None:
    assert ask("explain", video, caption="x").explanation == {"hook": {"points": []}}


def test_compare_names_drafts_as_the_caller_does(ask: Ask, endpoint: FakeEndpoint, tmp_path: Path) -> None:
    paths = [tmp_path / folder / "draft.mp4" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(path.parent.name.encode())
    first, second, third = ask("compare", [*paths, b"bytes"], caption="x")
    assert [first.name, second.name, third.name] == ["draft 3", str(paths[1]), str(paths[0])]
    assert first.beats == {str(paths[0]): 0.5, str(paths[1]): 0.5}
    assert first.score.score > second.score.score
    assert [name for name, _ in endpoint.seen[0].files] == ["1.mp4", "2.mp4", "3"]  # no path of this machine
    assert [draft.name for draft in ask("compare", uris=["x.mp4", "y.mp4"])] == ["y.mp4", "x.mp4"]


def test_vectors_as_mappings(ask: Ask, endpoint: FakeEndpoint) -> None:
    rows = [{"caption": np.ones(3, np.float32), "faces": None}, {"caption": [1, 2.5]}, {"caption": None}]
    first, _, none = ask("score_features", rows, model="fusion/3")
    assert first.probability == 0.25
    assert none is None
    assert endpoint.bodies()[0] == {
        "vectors": [{"caption": [1, 1, 1], "faces": None}, {"caption": [1, 2.5]}, {"caption": None}],
        "model": "fusion/3",
    }


def test_vectors_as_a_table(ask: Ask, endpoint: FakeEndpoint) -> None:
    table = pa.table({"caption": pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2))})
    scores = ask("score_features", table, model="fusion/2")
    assert scores["probability"].to_pylist() == [0.5, 0.5]
    assert scores.schema.metadata == {b"model": b"fusion/2"}
    assert endpoint.seen[0].path == "/v1/score/features?model=fusion%2F2"


def test_posts_and_models(ask: Ask) -> None:
    scores = ask("score_posts", ["1", "unknown"])
    assert scores["1"].label == "log_views"
    assert scores["unknown"] is None
    (model,) = ask("models")
    assert (model.name, model.label, model.feature_set, model.default) == ("fusion/3", "log_views", "light", True)


def test_a_job_from_start_to_results(ask: Ask, endpoint: FakeEndpoint) -> None:
    job = ask("score_batch", [{"uri": "a.mp4", "caption": "x"}, {"caption": "y"}], model="fusion")
    assert (job.id, job.status, job.results) == ("j 1/x", "pending", None)
    looks: list[tuple[int, int]] = []
    done = ask("wait", job.id, progress=lambda *look: looks.append(look))
    assert looks == [(0, 2), (1, 2), (2, 2)]
    assert done.results is not None
    assert [(result.index, result.status, result.reason) for result in done.results] == [
        (0, "ok", None),
        (1, "failed", "missing_object"),
    ]
    assert done.results[0].score.probability == 0.25
    assert endpoint.bodies()[0] == {"drafts": [{"uri": "a.mp4", "caption": "x"}, {"caption": "y"}], "model": "fusion"}
    assert endpoint.seen[1].path == "/v1/jobs/j%201%2Fx"


def test_a_job_that_fails_or_takes_too_long(ask: Ask) -> None:
    with pytest.raises(EndpointError, match="the root has no space") as failed:
        ask("wait", "lost")
    assert failed.value.reason == "job_failed"
    with pytest.raises(EndpointError, match=r"job j is not done after 0\.01 seconds") as late:
        ask("wait", "j", timeout=0.01)
    assert late.value.reason == "deadline"


@pytest.mark.parametrize(
    ("method", "arguments", "fields", "message"),
    [
        ("score", (b"x",), {"uri": "y"}, "a file or a uri, not both"),
        ("score", (), {"captoin": "x"}, "a draft has no field captoin: it has author_followers, author_views, caption"),
        ("score", (), {"hashtags": ["two words"]}, "a hashtag has no blanks"),
        ("score", (b"x",), {"caption": "\ud800"}, "not valid Unicode"),
        ("score", (io.StringIO("x"),), {}, "open it with mode 'rb'"),
        ("score_many", ([{"file": b"x"}, {"uri": "a", "file": b"y"}],), {}, "a file or a uri, not both"),
        ("score_many", ([],), {"concurrency": 0}, "concurrency is 0"),
        ("compare", (), {}, "compare takes files or uris"),
        ("compare", (["a", "a"],), {}, "a is named twice"),
        ("score_features", ([{"caption": [float("nan")]}],), {}, "cannot be sent as JSON"),
        ("score_batch", ([{"file": b"x"}],), {}, "upload files with score_many"),
    ],
)
def test_what_cannot_be_sent_is_refused_here(
    ask: Ask,
    endpoint: FakeEndpoint,
    method: str,
    arguments: tuple[object, ...],
    fields: dict[str, object],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        ask(method, *arguments, **fields)
    assert endpoint.seen == []


def test_changes_of_an_explanation_go_a_line_each() -> None:
    call = score_call("/v1/explain", b"video", None, None, {}, ["hour=3", "caption=a\nb"])
    assert call.form == {"changes": "hour=3\ncaption=a b"}
    words = score_call("/v1/explain", None, None, None, {"caption": "a"}, ["hour=3"])
    assert json.loads(words.content or b"") == {"caption": "a", "changes": ["hour=3"]}
