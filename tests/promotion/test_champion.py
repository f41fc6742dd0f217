"""Promotion of champions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.promotion.conftest import CARD, LABEL, Save, make_predictions
from viral.errors import ConfigError, PromotionError, TableError
from viral.promotion.champion import MIN_AUTHORS, PromotionPolicy, promote
from viral.registry.promotions import latest_promotion, promotions
from viral.registry.registry import Registry
from viral.scoring.scorer import Scorer
from viral.storage.store import Store

QUICK = PromotionPolicy(resamples=100)


def test_a_better_one_takes_the_place_of_the_first(folder_store: Store, save: Save) -> None:
    registry = Registry(folder_store)
    assert [save(folder_store, "m", noise) for noise in (2.0, 0.5)] == [1, 2]
    with pytest.raises(TableError, match=r"^model m has no champion: promote a version \(viral models promote m/VERS"):
        registry.resolve("m@champion")
    first = promote(folder_store, "m/1", QUICK)
    assert (first.number, first.version, first.previous, first.gain, first.override_reason) == (1, 1, None, None, None)
    assert datetime.now(UTC) - datetime.fromisoformat(first.when) < timedelta(minutes=1)
    assert registry.resolve("m@champion") == ("m", 1)
    second = promote(folder_store, "m", QUICK)
    assert (second.number, second.version, second.previous) == (2, 2, 1)
    assert second.gain is not None and second.gain.low is not None
    assert 0 < second.gain.low < (second.gain.value or 0)
    assert (second.gain.posts, second.gain.authors) == (270, 27)
    assert str(registry.load("m@champion")) == "m/2"
    assert promotions(folder_store, "m") == [first, second]
    assert registry.names() == ["m"]
    assert registry.versions("m") == [1, 2]


def test_one_that_is_champion_already_is_not_promoted_again(tmp_path, save: Save) -> None:
    store = Store.open(tmp_path)
    save(store, "m", 1.0)
    assert promote(store, "m/1", QUICK) == promote(store, "m@champion", QUICK)
    assert len(promotions(store, "m")) == 1


@pytest.mark.parametrize("metric", ["spearman", "rmse"])
def test_one_that_is_no_better_is_refused(tmp_path, save: Save, metric: str) -> None:
    """By a metric where higher is better, and by one where lower is; a gain within chance does not count."""
    store = Store.open(tmp_path)
    for noise, seed in ((0.5, 1), (0.5, 7), (2.0, 3)):
        save(store, "m", noise, seed=seed)
    promote(store, "m/1", QUICK)
    message = rf"^m/{{}} is not promoted: its gain over the champion m/1 in {metric} is {{}}.* on 270 test posts by 27 "
    with pytest.raises(PromotionError, match=message.format(2, r"\+0\.0\d+ \(-0\.\d+ to \+0\.\d+\)")):
        promote(store, "m/2", PromotionPolicy(metric, resamples=100))
    with pytest.raises(PromotionError, match=message.format(3, r"-\d\.\d+ \(-\d\.\d+ to -\d\.\d+\)")):
        promote(store, "m/3", PromotionPolicy(metric, resamples=100))
    assert [promotion.version for promotion in promotions(store, "m")] == [1]


def test_less_error_is_a_gain(tmp_path, save: Save) -> None:
    store = Store.open(tmp_path)
    save(store, "m", 2.0)
    save(store, "m", 0.5)
    promote(store, "m/1", QUICK)
    gain = promote(store, "m/2", PromotionPolicy("rmse", margin=1.0, resamples=100)).gain
    assert gain is not None and gain.value == pytest.approx(1.5, abs=0.15)
    assert gain.low is not None and gain.high is not None and 1.0 < gain.low < gain.value < gain.high


def test_the_margin_is_what_the_lower_end_must_exceed(tmp_path, save: Save) -> None:
    store = Store.open(tmp_path)
    save(store, "m", 2.0)
    save(store, "m", 0.5)
    promote(store, "m/1", QUICK)
    with pytest.raises(PromotionError, match=r"the lower end is not above 0\.9; --force 'reason'"):
        promote(store, "m/2", PromotionPolicy(margin=0.9, resamples=100))
    assert promote(store, "m/2", PromotionPolicy(margin=0.1, resamples=100)).margin == 0.1


def test_a_worse_one_can_be_forced_with_a_reason_that_is_kept(tmp_path, save: Save) -> None:
    store = Store.open(tmp_path)
    save(store, "m", 0.5)
    save(store, "m", 2.0)
    promote(store, "m/1", QUICK)
    promote(store, "m/2", PromotionPolicy(override_reason="the first one leaks", resamples=100))
    latest = latest_promotion(store, "m")
    assert latest is not None and latest.override_reason == "the first one leaks"
    assert latest.gain is not None and latest.gain.high is not None and latest.gain.high < 0
    assert Registry(store).resolve("m@champion") == ("m", 2)


def test_what_cannot_be_compared_is_refused_unless_forced(tmp_path, save: Save) -> None:
    store = Store.open(tmp_path)
    save(store, "m", 2.0)
    save(store, "m", 0.5, label={**LABEL, "name": "other"})
    save(store, "m", 0.5, rows=make_predictions(0.5, authors=MIN_AUTHORS - 1))
    Registry(store).save("m", CARD, b"never evaluated")
    with pytest.raises(
        PromotionError, match=r"m/4 is not promoted: .*evaluate it first \(viral evaluate --model m/4\)"
    ):
        promote(store, "m/4", QUICK)
    promote(store, "m/1", QUICK)
    for version, message in (
        (2, "m/2 and m/1 were trained on different labels: train both on the same"),
        (3, r"the comparison needs at least 10 authors, but is on .* --force"),
        (4, r"evaluate it first \(viral evaluate --model m/4\)"),
    ):
        with pytest.raises(PromotionError, match=message):
            promote(store, f"m/{version}", QUICK)
    forced = promote(store, "m/4", PromotionPolicy(override_reason="we know it", resamples=100))
    assert (forced.version, forced.gain, forced.override_reason) == (4, None, "we know it")


def test_a_damaged_one_cannot_even_be_forced(tmp_path, save: Save) -> None:
    store = Store.open(tmp_path)
    save(store, "m", 1.0)
    store.write("models/m/0001/model.safetensors", b"other")
    with pytest.raises(TableError, match="the weights of model m/1 are damaged"):
        promote(store, "m/1", PromotionPolicy(override_reason="all the same"))
    assert latest_promotion(store, "m") is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metric": "width"}, "models are not compared by 'width': choose from roc_auc, pr_auc"),
        ({"margin": -0.1}, "a margin of -0.1 would accept worse models"),
        ({"margin": float("nan")}, "a margin of nan would accept worse models"),
        ({"override_reason": " "}, "--force needs a reason"),
    ],
)
def test_policies_that_make_no_sense(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PromotionPolicy(**settings)


def test_of_promotions_at_once_none_is_lost(folder_store: Store, save: Save) -> None:
    for noise in (4.0, 2.0, 1.0, 0.5):
        save(folder_store, "m", noise)
    promote(folder_store, "m/1", QUICK)
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(promote, folder_store, f"m/{version}", QUICK) for version in (2, 3, 4)]
    promoted = [future.result() for future in futures if not future.exception()]
    stored = promotions(folder_store, "m")
    assert sorted(promoted, key=lambda promotion: promotion.number) == stored[1:]
    # Each was compared with its predecessor: they only ever get better.
    assert [promotion.previous for promotion in stored] == [None, *(promotion.version for promotion in stored[:-1])]
    assert [promotion.version for promotion in stored] == sorted(promotion.version for promotion in stored)
    assert stored[-1].version == 4


def test_a_reference_to_an_alias_that_there_is_not(tmp_path, save: Save) -> None:
    store = Store.open(tmp_path)
    save(store, "m", 1.0)
    with pytest.raises(TableError, match=r"^model m has no alias 'best': there is m@champion$"):
        Scorer.load(store, "m@best")
    with pytest.raises(TableError, match="there is no model other"):
        Registry(store).load("other@champion")
    with pytest.raises(ConfigError, match="'m/1' is not a valid name"):
        Registry(store).load("m/1@champion")
