"""`POST /v1/score` over HTTP, on Serve: what it answers and what it refuses."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

import viral
from viral.config import Settings
from viral.extractors.extractor import Context
from viral.features.pipeline import Pipeline
from viral.scoring.scorer import Scorer
from viral.storage.store import Store

Check = Callable[..., Any]

SCORE = "/v1/score"
WORDS = {"caption": "You won't believe it #fyp", "author_followers": "1200", "posted_at": "2024-03-01T18:30:00+00:00"}
CONTEXT = Context(caption=WORDS["caption"], author_followers=1200, posted_at=datetime(2024, 3, 1, 18, 30, tzinfo=UTC))
NUMBERS = ("probability", "percentile", "score", "interval", "rates", "modalities")


def upload(
    client: httpx.Client, file: Path, data: dict[str, Any] | None = None, *, path: str = SCORE
) -> httpx.Response:
    return client.post(path, data=data or {}, files={"file": (file.name, file.read_bytes(), "video/mp4")})


def numbers(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in NUMBERS}


@pytest.fixture(scope="module")
def expected(root: Path) -> Iterator[Callable[[Path | None, Context], dict[str, Any]]]:
    """What the pipeline of a backfill and the scorer say, without Ray, on one thread as there."""
    store, threads = Store.open(root), torch.get_num_threads()
    torch.set_num_threads(1)
    scorer = Scorer.load(store, "tiny", numpy=True)
    with Pipeline(scorer.feature_set, store, Settings()) as pipeline:

        def score(path: Path | None, context: Context) -> dict[str, Any]:
            (scored,) = scorer.score([pipeline.extract_draft(str(path) if path else None, context).vectors])
            return {name: scored.to_dict()[name] for name in NUMBERS}

        yield score
    torch.set_num_threads(threads)


def test_an_upload_is_scored_as_in_batch(
    client: httpx.Client, clip: Path, tmp_path: Path, expected: Check, check_answer: Check
) -> None:
    unknown = tmp_path / clip.name  # not to the cache, whatever tests ran before
    unknown.write_bytes(clip.read_bytes() + b"unknown")
    body = check_answer(upload(client, unknown, WORDS), missing=set())
    assert numbers(body) == expected(clip, CONTEXT)  # to the bit
    assert body["status"] == "ok"
    assert body["reason"] is None
    assert {"read", "decode", "caption", "craft"} <= set(body["seconds"])


def test_why_on_request(client: httpx.Client, clip: Path, check_answer: Check) -> None:
    body = check_answer(upload(client, clip, WORDS, path="/v1/explain"), missing=set())
    why = body["explanation"]
    assert set(why) == {"found", "modalities", "nearest", "hook", "segments", "what_if"}
    values = why["modalities"]
    assert values["score_of_nothing"] + sum(values["score"].values()) == pytest.approx(body["score"], abs=1e-5)
    assert [post["posted_at"][:10] for post in why["nearest"]["posts"]] == ["2024-01-01"] * 5
    assert why["hook"]["points"][-1]["scored"]["score"] == body["score"]
    assert all(each["low"] < each["change"] < each["high"] for each in why["what_if"]["tried"])
    words = check_answer(client.post("/v1/explain", json={"caption": "a"}), missing={"audio", "editing", "image"})
    assert set(words["explanation"]) == {"found", "modalities", "nearest"}


def test_beside_the_authors_earlier_posts(client: httpx.Client, clip: Path, check_answer: Check) -> None:
    body = check_answer(upload(client, clip, WORDS | {"author_views": "100, 2000 100"}), missing=set())
    told = body["relative_to_author"]
    assert (told["posts"], told["median"]) == (3, pytest.approx(math.log1p(100)))
    assert told["difference"] == pytest.approx(body["score"] - math.log1p(100))
    wrong = client.post(SCORE, json={"caption": "a", "author_views": []})
    assert (wrong.status_code, wrong.json()["reason"]) == (422, "bad_field")


def test_a_video_below_the_root_is_scored_as_its_upload(client: httpx.Client, root: Path, clip: Path) -> None:
    uploaded = upload(client, clip, WORDS).json()
    for uri in (f"videos/{clip.name}", str(clip), f"{root}/videos/{clip.name}"):
        reply = client.post(SCORE, json={**WORDS, "uri": uri})
        assert reply.status_code == 200, reply.text
        assert numbers(reply.json()) == numbers(uploaded)


def test_words_alone_are_scored(client: httpx.Client, expected: Check, check_answer: Check) -> None:
    reply = client.post(SCORE, json={**WORDS, "author_followers": 1200})
    assert numbers(check_answer(reply, missing={"audio", "editing", "image"})) == expected(None, CONTEXT)


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({"caption": "a"}, {"audio", "editing", "image"}),
        ({"author_followers": 3}, {"text", "audio", "editing", "image"}),
        ({"posted_at": "2024-03-01T18:30:00Z"}, {"text", "audio", "editing", "image"}),
        ({"sound_original": True}, {"text", "audio", "editing", "image"}),
        ({"hashtags": ["fyp"]}, {"text", "audio", "editing", "image"}),
        ({"posted_at": 1_700_000_000, "author_followers": 10**12}, {"text", "audio", "editing", "image"}),
        ({"caption": "\0\x1b[31m\u202e" + "\U0010ffff" * 5000}, {"audio", "editing", "image"}),
    ],
)
def test_any_word_is_enough(
    client: httpx.Client, fields: dict[str, Any], missing: set[str], check_answer: Check
) -> None:
    check_answer(client.post(SCORE, json=fields), missing=missing)


@pytest.mark.parametrize("words", [{}, WORDS], ids=["no words", "words"])
def test_a_video_is_scored_without_sound_or_words(
    client: httpx.Client, clip: Path, silent: Path, words: dict[str, str], check_answer: Check
) -> None:
    unsaid = set() if words else {"text"}
    check_answer(upload(client, clip, words), missing=unsaid)
    check_answer(upload(client, silent, words), missing=unsaid | {"audio"})


@pytest.mark.parametrize("body", [{}, {"caption": None}, {"uri": None}])
def test_nothing_at_all_is_refused(client: httpx.Client, body: dict[str, Any], check_refusal: Check) -> None:
    detail = check_refusal(client.post(SCORE, json=body), 422, "nothing_to_score")
    assert detail == "send a video, a caption, or both"


def test_many_at_once_are_answered_as_one_alone_or_told_to_come_again(
    client: httpx.Client, clip: Path, silent: Path
) -> None:
    alone = {path: numbers(upload(client, path, WORDS).json()) for path in (clip, silent)}
    wanted = [clip, silent] * 20
    with ThreadPoolExecutor(len(wanted)) as pool:
        replies = list(pool.map(lambda path: upload(client, path, WORDS), wanted))
    assert {reply.status_code for reply in replies} <= {200, 429}
    answered = [(path, reply) for path, reply in zip(wanted, replies, strict=True) if reply.status_code == 200]
    assert len(answered) >= 2
    assert [numbers(reply.json()) for _, reply in answered] == [alone[path] for path, _ in answered]
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in replies if reply.status_code == 429)


def test_a_known_video_is_not_read_again_and_scored_alike(client: httpx.Client, clip: Path) -> None:
    content = clip.read_bytes() + b"\0"  # another file than those of other tests
    for words in (WORDS, {"caption": "quite another"}, {}):
        first, second = (client.post(SCORE, data=words, files={"file": (name, content)}) for name in "ab")
        assert numbers(first.json()) == numbers(second.json())
        assert "decode" not in second.json()["seconds"]
    assert "total;dur=" in second.headers["server-timing"]


def test_health_says_which_model_answers(client: httpx.Client) -> None:
    reply = client.get("/healthz")
    assert reply.status_code == 200
    assert reply.json() == {"status": "ok", "model": "tiny/1", "version": viral.__version__}


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"this is no video at all\n" * 100, "ffmpeg"), (os.urandom(5000), "ffmpeg")],
    ids=["empty", "text", "noise"],
)
def test_what_is_no_video_is_refused(client: httpx.Client, content: bytes, message: str, check_refusal: Check) -> None:
    reply = client.post(SCORE, data=WORDS, files={"file": ("a.mp4", content)})
    assert message in check_refusal(reply, 422, "unreadable")


def test_sound_alone_is_refused(client: httpx.Client, sound: Path, check_refusal: Check) -> None:
    assert "audio" in check_refusal(upload(client, sound), 422, "no_video_stream")


def test_a_playlist_opens_nothing(client: httpx.Client, clip: Path, check_refusal: Check) -> None:
    """ffmpeg would follow it to any file or address."""
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{clip}\n#EXT-X-ENDLIST\n"
    reply = client.post(SCORE, files={"file": ("list.m3u8", playlist.encode(), "application/x-mpegurl")})
    check_refusal(reply, 422, "unreadable")


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "a\0b.mp4", "a.\0", "x" * 1000 + ".mp4", "ü 🎬;\"'.mp4", ".mp4", " ", "a\r\nb"],
)
def test_the_name_of_the_file_does_not_matter(client: httpx.Client, clip: Path, name: str, check_answer: Check) -> None:
    reply = client.post(SCORE, files={"file": (name, clip.read_bytes(), "text/html")})
    check_answer(reply, missing={"text"})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"views": "1"}, "views: no such field"),
        ({"uri": "videos/a.mp4"}, "uri: no such field"),
        ({"author_followers": "many"}, "author_followers: "),
        ({"author_followers": "-1"}, "author_followers: "),
        ({"author_followers": "1e400"}, "author_followers: "),
        ({"posted_at": "yesterday"}, "posted_at: "),
        ({"sound_original": "perhaps"}, "sound_original: "),
        ({"caption": "a" * 10_001}, "caption: "),
        ({"hashtags": "a " * 201}, "hashtags: "),
        ({"caption": ["one", "two"]}, "caption: given twice"),
    ],
)
def test_a_form_field_that_does_not_fit_is_named(
    client: httpx.Client, clip: Path, data: dict[str, Any], message: str, check_refusal: Check
) -> None:
    assert check_refusal(upload(client, clip, data), 422, "bad_field").startswith(message)


@pytest.mark.parametrize("files", [{"video": b"x"}, {"file2": b"x"}, {"file": (None, b"x")}], ids=str)
def test_a_form_without_a_file_is_refused(client: httpx.Client, files: dict[str, Any], check_refusal: Check) -> None:
    assert check_refusal(client.post(SCORE, files=files), 422, "bad_field") == "the form has no file field `file`"


def test_two_files_are_refused(client: httpx.Client, check_refusal: Check) -> None:
    reply = client.post(SCORE, files=[("file", ("a", b"x")), ("file", ("b", b"y"))])
    assert "given twice" in check_refusal(reply, 422, "bad_field")


def test_empty_form_fields_are_not_given(client: httpx.Client, clip: Path, check_answer: Check) -> None:
    check_answer(upload(client, clip, {"posted_at": "", "hashtags": "", "author_views": ""}), missing={"text"})


def test_an_empty_caption_is_the_same_everywhere(client: httpx.Client, clip: Path, expected: Check) -> None:
    """An empty caption has no words, but its length is known to be 0."""
    form = upload(client, clip, {"caption": ""})
    named = client.post(SCORE, json={"uri": f"videos/{clip.name}", "caption": ""})
    assert numbers(form.json()) == numbers(named.json()) == expected(clip, Context(caption=""))
    assert numbers(form.json()) != numbers(upload(client, clip).json())


def test_hashtags_of_a_form_are_those_of_json(client: httpx.Client, root: Path, clip: Path) -> None:
    form = upload(client, clip, {"hashtags": "#a, #b  c"})
    named = client.post(SCORE, json={"uri": f"videos/{clip.name}", "hashtags": ["#a", "#b", "c"]})
    assert numbers(form.json()) == numbers(named.json())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: "),
        (b"{", "body: "),
        (b"[]", "body: "),
        (b"\xff\xfe", "body: "),
        (b'{"caption": 1}', "caption: "),
        (b'{"views": 1}', "views: no such field"),
        (b'{"author_followers": 1.5}', "author_followers: "),
        (b'{"author_followers": 9e99}', "author_followers: "),
        (b'{"posted_at": "2024-13-01"}', "posted_at: "),
        (b'{"hashtags": "a b"}', "hashtags: "),
        (b'{"uri": ""}', "uri: "),
        (b'{"uri": "a\\u0000b"}', "uri: "),
        (b'{"uri": "a\\udcff"}', "body: "),
    ],
)
def test_json_that_does_not_fit_is_refused(
    client: httpx.Client, body: bytes, message: str, check_refusal: Check
) -> None:
    reply = client.post(SCORE, content=body, headers={"content-type": "application/json"})
    assert check_refusal(reply, 422, "bad_field").startswith(message)


@pytest.mark.parametrize(
    "uri",
    [
        *("/etc/passwd", "../outside.mp4", "videos/../../outside.mp4", "file:///etc/passwd", "~/../.."),
        *("http://169.254.169.254/latest", "https://example.com/a.mp4", "s3://other/a.mp4", "link.mp4", "out/a.mp4"),
    ],
)
def test_nothing_outside_the_root_can_be_named(
    client: httpx.Client, root: Path, tmp_path: Path, clip: Path, uri: str, check_refusal: Check
) -> None:
    (tmp_path / "a.mp4").write_bytes(clip.read_bytes())
    (root / "link.mp4").symlink_to(tmp_path / "a.mp4")
    (root / "out").symlink_to(tmp_path)
    try:
        check_refusal(client.post(SCORE, json={"uri": uri}), 403, "outside_root")
    finally:
        (root / "link.mp4").unlink()
        (root / "out").unlink()


@pytest.mark.parametrize("uri", ["videos/none.mp4", "videos", "x" * 1900, "a/" * 900, "videos/%2e%2e/a.mp4", "ü🎬"])
def test_a_video_that_is_not_there_is_said_so(client: httpx.Client, root: Path, uri: str, check_refusal: Check) -> None:
    assert str(root) not in check_refusal(client.post(SCORE, json={"uri": uri}), 404, "missing_object")
