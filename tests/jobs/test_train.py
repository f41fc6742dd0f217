"""Training: the same from the same seed, on from where it was."""

from __future__ import annotations

import dataclasses
import shutil

import click
import numpy as np
import pytest

from jobs import evaluate, score, train_network
from jobs.training.options import Workers, workers_option
from jobs.training.specs import TrainSpec
from tests.conftest import CORPUS_POSTS
from viral.errors import ConfigError, TableError
from viral.features.feature_table import features_table
from viral.models.train_config import TrainConfig
from viral.registry.registry import Registry
from viral.scoring.scorer import Scorer
from viral.storage.store import Store


@pytest.fixture(scope="module")
def store(flow, tmp_path_factory) -> Store:
    """A copy of the root of the corpus, to train in."""
    root = tmp_path_factory.mktemp("train") / "root"
    shutil.copytree(flow.store.root, root)
    shutil.rmtree(root / "models")
    return Store.open(root)


def weights(store: Store, model: str) -> bytes:
    return Registry(store).load(model).weights


def test_another_seed_gives_another_model(store, flow):
    """That the same one gives the same, in other processes too, the tests of kills show."""
    config = dataclasses.replace(flow.config, seed=flow.config.seed + 1)
    other = train_network.run(store, TrainSpec("seeded", flow.feature_set, "log_views", workers=0), config)
    assert other.model == "seeded/1"
    assert weights(store, other.model) != weights(flow.store, flow.trained.model)
    assert other.data_hash == flow.trained.data_hash
    assert not list(store.objects("runs"))


def test_a_model_of_one_modality_looks_at_no_other(store, flow):
    spec = TrainSpec("words", flow.feature_set, "log_views", workers=0, modality="text", architecture="attention")
    summary = train_network.run(store, spec, TrainConfig(epochs=1))
    scorer = Scorer.load(store, summary.model)
    assert [stream.name for stream in scorer.streams] == ["caption"]
    assert scorer.saved.card["config"]["architecture"] == "attention"
    judged = evaluate.run(store, summary.model, resamples=100)
    assert summary.rows < flow.trained.rows  # a training post has no caption
    assert judged.test_posts > 0
    assert set(judged.figures) == set(flow.judged.figures)
    captions = features_table(store, flow.feature_set).read(columns=["caption"])["caption"]
    scored = score.run(store, summary.model)
    assert (scored.scored, scored.without_features) == (CORPUS_POSTS - captions.null_count, captions.null_count)
    assert captions.null_count


def test_what_cannot_be_trained(store, flow, tmp_path):
    def run(where: Store, **changed: object) -> train_network.TrainSummary:
        spec = TrainSpec(**{"name": "m", "feature_set": flow.feature_set, "label": "log_views", **changed})
        return train_network.run(where, spec, TrainConfig(epochs=1))

    with pytest.raises(TableError, match="backfill first"):
        run(Store.open(tmp_path))
    with pytest.raises(TableError, match="there is no table labels/other"):
        run(store, label="other")
    with pytest.raises(ConfigError, match="has no video: it has metadata, text, audio, editing, image"):
        run(store, modality="video")
    with pytest.raises(ConfigError, match="is not a valid name"):
        run(store, name="a/b")
    with pytest.raises(ConfigError, match=r"40 workers need more than the \d+ cores"):
        run(store, workers=40)
    assert not [info.key for info in store.objects("models/m")]


def test_gates_stay_what_they_are_and_the_number_of_workers_may_change(store, flow):
    gates = {"metadata": 0.6, "caption": 0.3, "acoustics": 0.1, "craft": 0.0, "efficientnet_lite0": 0.0}
    spec = TrainSpec("elastic", flow.feature_set, "log_views", workers=(1, 2), gates=gates)
    summary = train_network.run(store, spec, TrainConfig(epochs=2, viral_weight="balanced", focal=1.0))
    scorer = Scorer.load(store, summary.model)
    card = scorer.saved.card
    assert (summary.epochs, summary.resumed_at_epoch, card["workers"], card["config"]["gates"]) == (2, 0, [1, 2], gates)
    assert card["train"]["viral_weight"] > 1
    assert summary.samples_per_second > 0
    vector = {name: np.full(dim, 0.1, np.float32) for name, dim in flow.feature_set.dims.items()}
    [scored] = scorer.score([vector])
    assert dict(scored.modalities) == pytest.approx(
        {"metadata": 0.6, "text": 0.3, "audio": 0.1, "editing": 0.0, "image": 0.0}
    )
    assert score.run(store, summary.model).scored == CORPUS_POSTS


@pytest.mark.parametrize(
    ("text", "workers"),
    [("2", 2), ("1-4", (1, 4)), ("3-3", (3, 3)), ("0", 0), *((bad, None) for bad in ("a", "4-1", "1-", "-2", "0-2"))],
)
def test_workers_as_they_are_typed(text, workers):
    @click.command()
    @workers_option
    def command(workers: Workers) -> None:
        seen.append(workers)

    seen: list[Workers] = []
    if workers is None:
        with pytest.raises(
            ConfigError, match=f"--workers takes a number, as in 2, or a range, as in 1-4: not '{text}'"
        ):
            command.main(["--workers", text], standalone_mode=False)
    else:
        command.main(["--workers", text], standalone_mode=False)
        assert seen == [workers]
