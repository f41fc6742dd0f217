"""The sound model from end to end: posts → sounds → features → labels → a model that is gone on from."""

from __future__ import annotations

import json
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from jobs import audit, backfill, ingest, label, score, sounds, train_network
from jobs.ingesting.source import IngestSource
from jobs.train_network import TrainSummary
from jobs.training.specs import TrainSpec
from viral.config import Settings
from viral.errors import ConfigError, TableError
from viral.evaluation.audit import audit as find_leaks
from viral.evaluation.splits import SplitSpec
from viral.extractors.feature_set import FeatureSet
from viral.labels import LabelSpec
from viral.models.train_config import TrainConfig
from viral.registry.registry import Registry
from viral.sounds.sounds import sounds_root
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import load_labels, posts_table, predictions_prefix
from viral.tables.schemas import LABELS, PREDICTIONS
from viral.trends.trends import compute_trends

GRID = {"name": "logmel", "params": {"mels": 32, "frames": 16, "seconds": 2.0}}
SOUND_SET = FeatureSet.from_dict({"name": "heard", "extractors": [GRID]})
SOUNDS, RATE = 60, 22050
FIRST = TrainConfig(epochs=20, report_every=20, optimizer="adam", loss="squared", learning_rate=3e-3, batch_size=16)
SECOND = TrainConfig(epochs=10, report_every=10, optimizer="sgd", loss="squared", learning_rate=3e-3, batch_size=16)


def tone(path: Path, hertz: float) -> None:
    samples = 0.4 * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((32767 * samples).astype("<i2").tobytes())


@dataclass(frozen=True)
class SoundModels:
    """A root whose posts' views grow with the pitch of their sound, and two models of its sounds."""

    posts: Store
    summary: sounds.SoundsSummary
    first: TrainSummary
    second: TrainSummary

    @property
    def store(self) -> Store:
        return sounds_root(self.posts)


def spec(**changed: object) -> TrainSpec:
    defaults = {"name": "sound", "feature_set": SOUND_SET, "label": "log_views", "workers": 0}
    return TrainSpec(**{**defaults, "extractor": "logmel", "architecture": "sound", **changed})


@pytest.fixture(scope="module")
def models(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> SoundModels:
    root = tmp_path_factory.mktemp("heard")
    (root / "videos").mkdir()
    rng, lines = np.random.default_rng(0), ["post_id,author_id,sound_id,views,video_uri,posted_at"]
    for number in range(SOUNDS):
        pitch = rng.random()
        tone(root / "videos" / f"{number}.wav", 100 * 60**pitch)
        lines += [
            f"{number}-{use},author-{use},sound-{number},{int(np.exp(8 + 5 * pitch) + use)},videos/{number}.wav,"
            f"2025-03-{1 + 29 * (number % 2)}"
            for use in range(1 + number % 3)
        ]
    (root / "posts.csv").write_text("\n".join([*lines, "x,author-0,,5,videos/0.wav,2025-03-01"]))
    store = Store.open(root)
    ingest.run(store, IngestSource("csv", (str(root / "posts.csv"),)))
    summary = sounds.run(store)
    sounds_store = sounds_root(store)
    backfill.run(sounds_store, SOUND_SET, Settings())
    label.run(sounds_store, LabelSpec("log_views"), SplitSpec("sound"))
    first = train_network.run(sounds_store, spec(), FIRST)
    start = Registry(sounds_store).load(first.model)
    return SoundModels(store, summary, first, train_network.run(sounds_store, spec(start=start), SECOND))


def test_the_posts_become_sounds(models: SoundModels) -> None:
    summary = models.summary
    assert (summary.posts, summary.without_sound_id, summary.sounds, summary.without_audio) == (121, 1, SOUNDS, 0)
    assert sounds.run(models.posts).changed == 0
    rows = posts_table(models.store).read(columns=["post_id", "sound_uses"])
    assert {row["post_id"]: row["sound_uses"] for row in rows.to_pylist()} == {
        f"sound-{number}": 1 + number % 3 for number in range(SOUNDS)
    }


def test_the_model_goes_on_where_it_was(models: SoundModels) -> None:
    registry = Registry(models.store)
    before, after = (registry.load(model).card for model in ("sound/1", "sound/2"))
    assert (models.first.model, models.second.model) == ("sound/1", "sound/2")
    assert before["losses"][-1][0] < 0.6 * before["losses"][0][0]
    assert after["losses"][-1][0] < 1.1 * before["losses"][-1][0]  # not from where the first one began
    assert (after["continued_from"], after["train"]["optimizer"]) == ("sound/1", "sgd")
    assert "continued_from" not in before
    assert before["notes"] == after["notes"] == []


def test_the_audit_follows_a_model_to_where_it_began(models: SoundModels) -> None:
    evidence, notes = audit.gather_evidence(models.store, Registry(models.store).load("sound/2"))
    assert notes.unchecked == []
    # These sounds' views are a function of their pitch and of nothing else: no real count is.
    assert {finding.check for finding in find_leaks(evidence)} == {"count_value"}


def test_batch_and_a_fresh_process_say_the_same_of_what_was_planted(models: SoundModels, viral, tmp_path: Path) -> None:
    assert score.run(models.store, "sound").scored == SOUNDS
    table, _ = replaced.open_current(models.store, predictions_prefix("sound/2"), PREDICTIONS)
    scores = {row["post_id"]: row["score"] for row in table.read().to_pylist()}
    labels, _ = replaced.open_current(models.store, "labels/log_views", LABELS)
    tested = [row for row in labels.read().to_pylist() if row["split"] == "test"]
    truth = [row["target"] for row in tested]
    assert np.corrcoef([scores[row["post_id"]] for row in tested], truth)[0, 1] > 0.8
    video = models.posts.path("videos/7.wav")
    done = viral("score", video, "--model", "sound", "--root", models.store.root, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["score"] == pytest.approx(
        scores["sound-7"], rel=1e-6
    )  # it has two threads, a worker one


def test_trends_predict_new_sounds_that_the_model_has_not_learnt_from(models: SoundModels) -> None:
    labels = load_labels(models.store, "log_views").to_pylist()
    tested = {row["post_id"] for row in labels if row["split"] == "test"}
    rows = {row["key"]: row for row in compute_trends(models.posts).trends.to_pylist() if row["kind"] == "new_sound"}
    # Sounds of odd numbers are of the last day.
    assert set(rows) == {sound for sound in tested if int(sound.split("-")[1]) % 2} and len(rows) > 2
    scores = {row["post_id"]: row["target"] for row in labels}
    predicted = [row["predicted_score"] for row in rows.values()]
    assert np.corrcoef(predicted, [scores[sound] for sound in rows])[0, 1] > 0.6
    assert {row["prediction_model"] for row in rows.values()} == {"sound/2"}
    assert all(row["predicted_low"] <= row["predicted_score"] <= row["predicted_high"] for row in rows.values())


def test_what_cannot_be_done(models: SoundModels, tmp_path: Path, viral) -> None:
    start = Registry(models.store).load("sound/1")
    for options, message in (
        ({"feature_set": FeatureSet.named("light")}, "has no logmel: it has metadata, caption, acoustics, craft"),
        ({"start": start, "feature_set": FeatureSet.named("sound")}, "trained on feature set heard-.*, not on sound-"),
        ({"start": start, "architecture": "gated"}, "its architecture is sound, not gated"),
    ):
        with pytest.raises(ConfigError, match=message):
            train_network.run(models.store, spec(**options), SECOND)
    with pytest.raises(TableError, match="is empty: ingest some first"):
        sounds.run(Store.open(tmp_path))
    assert Registry(models.store).versions("sound") == [1, 2]
    assert not list(models.store.objects("runs"))
