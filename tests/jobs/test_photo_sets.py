"""Photo sets of two exporters through ingest, backfill, label, training and score."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs import fetch
from jobs.backfilling.stages import extraction_request
from jobs.fetch import FetchRequest
from tests.conftest import Website
from tests.jobs.conftest import Viral
from tests.media.photos import write_picture
from tests.media.streams import SECONDS, write_tone
from viral.config import Settings
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import load_features
from viral.features.pipeline import Pipeline
from viral.storage.store import Store
from viral.tables.places import load_posts, posts_table, rejects_table
from viral.tables.schemas import PHOTOS, POSTS

SET = "name: photos\nextractors:\n  - metadata\n  - wording\n  - craft\n  - loudness\n"
EACH, AUTHORS = 12, 12  # posts of each exporter, and their authors: enough for three splits by author
COLOURS = ("red", "green", "blue", "orange")


def slides_of(i: int) -> list[str]:
    """Paths of the slides of a post, below the folder of the file."""
    return [f"pictures/{COLOURS[(i + j) % 4]}.jpg" for j in range(1 + i % 4)]


def apify(i: int, **changed: Any) -> dict[str, Any]:
    return {
        "id": str(7106594312292450123 + i),
        "text": f"dump {i} #photos",
        "createTimeISO": f"2022-06-{1 + i % 28:02d}T00:00:00.000Z",
        "authorMeta": {"id": f"a{i % AUTHORS}", "name": "someone", "fans": 100 + i},
        "musicMeta": {"musicId": "222", "musicName": "song", "playUrl": f"pictures/{i % 4}.mp3"},
        "videoMeta": {"duration": 0},
        "isSlideshow": True,
        "slideshowImageLinks": [{"tiktokLink": "https://cdn/x", "downloadLink": path} for path in slides_of(i)],
        "playCount": 100 + 37 * (i % 5),
        "diggCount": 10,
        "commentCount": 1,
        "shareCount": 2,
        "collectCount": 3,
        **changed,
    }


def web(i: int) -> dict[str, Any]:
    pictures = [{"imageURL": {"urlList": [path, "https://cdn/x"]}} for path in slides_of(i)]
    return {
        "id": str(7106594312292460123 + i),
        "desc": f"look {i}",
        "createTime": 1654646400 + 86400 * i,
        "author": {"id": f"a{i % AUTHORS}", "uniqueId": "someone"},
        "music": {"id": "333", "title": "other"},
        "video": {"duration": 0},
        "imagePost": {"images": pictures},
        "stats": {"playCount": 200 + 41 * (i % 7), "diggCount": 10, "commentCount": 1, "shareCount": 2},
    }


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each exporter, beside their pictures and sounds."""
    folder = tmp_path_factory.mktemp("scraped")
    (folder / "pictures").mkdir()
    for colour in COLOURS:
        write_picture(folder / "pictures" / f"{colour}.jpg", colour)
    for i in range(4):
        write_tone(folder / "pictures" / f"{i}.mp3", 0.1 + 0.2 * i)
    rows = [apify(i) for i in range(EACH)]
    rows.append(apify(EACH, slideshowImageLinks=[{"downloadLink": "pictures/none.jpg"}]))
    rows.append(apify(EACH + 1, slideshowImageLinks=[]))
    (folder / "apify.json").write_text(json.dumps(rows))
    (folder / "web.json").write_text(json.dumps({"itemList": [web(i) for i in range(EACH)], "hasMore": False}))
    (folder / "photos.yaml").write_text(SET)
    return folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "root").mkdir()
    monkeypatch.setenv("VIRAL_ROOT", str(tmp_path / "root"))
    yield tmp_path / "root"


def run(viral: Viral, *arguments: str | Path) -> str:
    done = viral(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_from_two_exporters_to_scores(viral: Viral, scraped: Path, root: Path) -> None:
    files = (scraped / "apify.json", scraped / "web.json")
    store, feature_set = Store.open(root), FeatureSet.load(scraped / "photos.yaml")
    first = viral("ingest", *files, "--json")  # without --photos: all are rejects
    assert first.returncode == 2
    reasons = set(rejects_table(store).read()["reason"].to_pylist())
    assert all(reason.startswith("not a video: photo set") for reason in reasons)
    assert sum("--photos keeps it" in reason for reason in reasons) == 2
    summary = json.loads(run(viral, "ingest", *files, "--photos", "--json"))
    assert summary["maps"] == {"apify_tiktok": EACH + 2, "tiktok_web": EACH}
    assert (summary["posts"], summary["rejects"]) == (2 * EACH + 1, 1)
    posts = load_posts(store)
    assert set(posts["kind"].to_pylist()) == {PHOTOS}
    assert posts["slides"][0].as_py() == [str(scraped / path) for path in slides_of(0)]

    filled = json.loads(run(viral, "backfill", "--feature-set", scraped / "photos.yaml", "--json"))
    assert (filled["ok"], filled["partial"], filled["failed"]) == (2 * EACH, 0, 1)
    rows = {row["post_id"]: row for row in load_features(store, feature_set).to_pylist()}
    for i in range(EACH):
        of_apify, of_web = rows[apify(i)["id"]], rows[web(i)["id"]]
        assert of_apify["slides"] == of_web["slides"] == len(slides_of(i))
        assert of_apify["seen_seconds"] == pytest.approx(SECONDS, abs=0.1)  # of its sound
        assert of_web["seen_seconds"] == 3 * len(slides_of(i))
        assert (of_apify["loudness"] is None, of_web["loudness"] is None) == (False, True)
        assert of_apify["craft"][0] == pytest.approx((len(slides_of(i)) - 1) / of_apify["seen_seconds"])
    (bad,) = (row for row in rows.values() if row["status"] == "failed")
    assert (bad["reason"], "none.jpg" in bad["detail"]) == ("missing_object", True)

    run(viral, "label", "--definition", "log_views", "--top", "0.25", "--split", "author", "--keep-copies")
    run(viral, *("train", "fusion", "--feature-set", scraped / "photos.yaml", "--epochs", "2", "--workers", "0"))
    scored = json.loads(run(viral, "score", "--all", "--json"))
    assert scored["scored"] == 2 * EACH
    pictures = [scraped / path for path in slides_of(3)]
    draft = ("score", *pictures, "--photos", "--sound", scraped / "pictures" / "1.mp3", "--caption", "my dump")
    answer = json.loads(run(viral, *draft, "--json"))
    assert (answer["status"], answer["missing"]) == ("ok", [])
    assert np.isfinite(answer["score"])

    explained = json.loads(run(viral, "explain", *draft[1:], "--json"))
    assert explained["score"] == answer["score"]
    hook = explained["explanation"]["hook"]["points"]
    assert [point["seconds"] for point in hook][:3] == [1.0, 2.0, 3.0]
    assert hook[-1]["seconds"] == pytest.approx(SECONDS, abs=0.1)
    of_post = json.loads(run(viral, "explain", "--post", web(2)["id"], "--json"))
    assert [point["seconds"] for point in of_post["explanation"]["hook"]["points"]][-1] == 3 * len(slides_of(2))
    missing = viral("explain", "--post", apify(EACH)["id"])
    assert (missing.returncode, "none.jpg" in missing.stderr) == (2, True), missing


def test_score_says_what_photos_takes(viral: Viral, root: Path) -> None:
    for arguments in (("--all", "--photos"), ("a.mp4", "--sound", "s.mp3")):
        refused = viral("score", *arguments)
        assert (refused.returncode, "--photos takes the slides" in refused.stderr) == (2, True)
    refused = viral("explain", "a.mp4", "--sound", "s.mp3")
    assert (refused.returncode, "add --photos" in refused.stderr) == (2, True)


def test_slides_and_sounds_are_fetched(
    ray_session: None, folder_store: Store, website: Website, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    names = [write_picture(site / f"{colour}.png", colour) for colour in COLOURS[:2]]
    write_tone(site / "tone.mp3")
    (site / "page.html").write_text("<html></html>")
    good = [website(f"files/{name}") for name in names]

    def post(post_id: str, slides: list[str], **more: str) -> dict[str, Any]:
        row = {"post_id": post_id, "source": "s", "kind": PHOTOS, "slides": slides, "page_url": website("html/p")}
        return {**dict.fromkeys(POSTS.names), **row, **more}

    posts = [
        post("1", good, sound_uri=website("files/tone.mp3")),
        post("2", good[::-1], sound_uri=website("files/tone.mp3")),
        post("3", [good[0], website("files/gone.png")]),
        post("4", [website("files/page.html")]),
        post("5", [str(site / names[0])], sound_uri=website("files/gone.mp3")),
    ]
    table = posts_table(folder_store)
    table.merge(pa.Table.from_pylist(posts, schema=POSTS), 0, 0)
    request = FetchRequest(posts=True, allowed=("127.0.0.1",), rate=100.0)
    settings = Settings(fetch={"attempts": 1})
    fetched = fetch.run(folder_store, request, settings)
    assert (fetched.done, fetched.failed, fetched.posts_with_slides, fetched.posts_with_video) == (3, 3, 2, 0)
    assert fetched.reasons == {"missing_object": 2, "unreadable": 1}
    assert not website.asked("html")  # the page of a photo set has no video
    rows = {row["post_id"]: row for row in table.read().to_pylist()}
    keys = rows["1"]["slides"]
    assert [key.startswith("photos/") and folder_store.exists(key) for key in keys] == [True, True]
    assert (rows["2"]["slides"], rows["2"]["sound_uri"]) == (keys[::-1], rows["1"]["sound_uri"])
    assert rows["1"]["sound_uri"].endswith(".mp3")
    assert rows["3"]["slides"] == posts[2]["slides"]  # until all are there

    with Pipeline(FeatureSet.from_dict({"name": "m", "extractors": ["metadata"]}), folder_store, settings) as pipeline:
        results = list(pipeline.extract(extraction_request(row) for row in table.read().to_pylist()))
    outcomes = [(result.status, result.reason) for result in results]
    assert outcomes == [
        *[("ok", None)] * 2,
        *[("failed", "missing_object")] * 2,  # web addresses
        ("partial", "audio_missing"),
    ]
    assert results[0].facts.seen_seconds == pytest.approx(SECONDS, abs=0.1)
    again = post("1", [website("files/other.png")], sound_uri=website("files/other.mp3"))  # addresses change
    table.merge(pa.Table.from_pylist([again], schema=POSTS), 0, 0)
    assert table.read(columns=["slides"])["slides"][0].as_py() == keys
    assert fetch.run(folder_store, request, settings).posts_with_slides == 0
