from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from viral.demo import CorpusSpec, generate, new_clip
from viral.demo.sound import RATE, loudness_db
from viral.errors import RootError, StorageError
from viral.tables import schemas


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "posts.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def stamps(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def opening(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])[: 3 * RATE]


def cuts(path: Path) -> int:
    change = np.abs(np.diff(pictures(path)[:, ::4, ::4].astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    return int((change > max(10.0, 3 * np.median(change))).sum())


def test_columns_are_those_of_the_posts_table(corpus: Path) -> None:
    posts = rows(corpus)
    assert len(posts) == 12
    assert set(posts[0]) < set(schemas.POSTS.names)
    assert {"post_id", "author_id", "posted_at", "caption", "duration_seconds", *schemas.COUNTS} < set(posts[0])


def test_every_row_has_its_clip_and_every_clip_its_row(corpus: Path) -> None:
    uris = {row["video_uri"] for row in rows(corpus)}
    assert uris == {f"videos/{path.name}" for path in (corpus / "videos").iterdir()}


def test_values_read_as_what_they_are(corpus: Path) -> None:
    for row in rows(corpus):
        posted, scraped = (datetime.fromisoformat(row[name]) for name in ("posted_at", "scraped_at"))
        assert posted.tzinfo is not None
        assert scraped > posted
        assert all(int(row[name]) >= 0 for name in schemas.COUNTS)
        assert row["sound_original"] in ("true", "false", "")


def test_clips_are_as_the_table_says(corpus: Path, small_spec: CorpusSpec) -> None:
    for row in rows(corpus):
        path = corpus / row["video_uri"]
        assert path.stat().st_size < 200_000
        with av.open(str(path)) as container:
            assert bool(container.streams.audio) == bool(row["sound_id"])
            assert container.duration is not None
            assert container.duration / 1e6 == pytest.approx(float(row["duration_seconds"]), abs=0.15)
        output = pictures(path)
        assert output.shape[1:] == (*small_spec.size, 3)
        assert len(output) / small_spec.fps == pytest.approx(float(row["duration_seconds"]), abs=0.001)


def test_planted_cuts_are_seen(corpus: Path, planted: list[dict[str, Any]]) -> None:
    counted = [cuts(corpus / "videos" / f"{post['post_id']}.mp4") for post in planted]
    assert np.corrcoef(counted, [len(post["cut_seconds"]) for post in planted])[0, 1] > 0.97


def test_planted_loudness_is_heard(corpus: Path, planted: list[dict[str, Any]]) -> None:
    sounding = [post for post in planted if post["opening_db"] is not None]
    measured = [loudness_db(opening(corpus / "videos" / f"{post['post_id']}.mp4")) for post in sounding]
    assert measured == pytest.approx([post["opening_db"] for post in sounding], abs=1.5)


def test_the_same_spec_gives_the_same_bytes(corpus: Path, small_spec: CorpusSpec, tmp_path: Path) -> None:
    again = generate(tmp_path / "again", small_spec, workers=1)
    for path in stamps(corpus):
        assert path.read_bytes() == (again / path.relative_to(corpus)).read_bytes()


def test_a_whole_corpus_stays_untouched(corpus: Path, small_spec: CorpusSpec) -> None:
    before, calls = stamps(corpus), list[tuple[int, int]]()
    generate(corpus, small_spec, progress=lambda done, total: calls.append((done, total)))
    assert stamps(corpus) == before
    assert calls == [(12, 12)]


def test_a_half_made_corpus_is_gone_on_with(corpus: Path, small_spec: CorpusSpec, tmp_path: Path) -> None:
    half = tmp_path / "half"
    shutil.copytree(corpus, half)
    (half / "posts.csv").unlink()
    lost = sorted((half / "videos").iterdir())[:2]
    for path in lost:
        path.rename(path.with_suffix(".part"))
    before, calls = stamps(half), list[tuple[int, int]]()
    generate(half, small_spec, workers=1, progress=lambda done, total: calls.append((done, total)))
    after = stamps(half)
    assert calls == [(10, 12), (11, 12), (12, 12)]
    assert all(after[path] == stamp for path, stamp in before.items() if path in after)
    assert {path.relative_to(half) for path in after} == {path.relative_to(corpus) for path in stamps(corpus)}
    assert (half / "posts.csv").read_bytes() == (corpus / "posts.csv").read_bytes()


def test_there_is_no_table_before_all_clips_are_there(tmp_path: Path) -> None:
    spec = CorpusSpec(posts=3, authors=1, seconds=(4, 4), size=(64, 64))

    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, spec, workers=1, progress=stop)
    assert not (tmp_path / "posts.csv").exists()
    assert len(rows(generate(tmp_path, spec, workers=1))) == 3


def test_another_corpus_is_not_overwritten(corpus: Path) -> None:
    with pytest.raises(RootError, match="holds another corpus"):
        generate(corpus, CorpusSpec(posts=12, authors=4, seed=4))


@pytest.mark.parametrize("name", ["posts.csv", "holiday.jpg"])
def test_a_folder_of_other_files_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(RootError, match="holds other files"):
        generate(tmp_path, CorpusSpec(posts=3, authors=1))
    assert (tmp_path / name).read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        generate(tmp_path / "file" / "corpus", CorpusSpec(posts=3, authors=1))


def test_a_new_clip_is_by_nobody_in_the_corpus_and_promises_much(corpus: Path, small_spec: CorpusSpec) -> None:
    path, metadata = new_clip(corpus, small_spec)
    with av.open(str(path)) as container:
        assert container.streams.video
        assert container.streams.audio
    assert metadata["truth"]["author_id"] not in {row["author_id"] for row in rows(corpus)}
    assert metadata["truth"]["corpus_share_below"] > 0.9
    assert metadata["caption"]
    assert metadata["author_followers"] > 0
    assert json.loads(path.with_suffix(".json").read_text()) == metadata


def test_importing_loads_neither_the_decoder_nor_a_network() -> None:
    code = "import sys, viral.demo; print([m for m in ('av', 'torch', 'sklearn', 'ray', 'pandas') if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"
