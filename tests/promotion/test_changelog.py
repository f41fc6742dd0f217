"""A refit version: compared with the previous one on new test posts, and shown with its changelog."""

from __future__ import annotations

import pytest

from tests.promotion.conftest import LABEL, Save, make_predictions
from viral.errors import PromotionError, TableError
from viral.evaluation import test_predictions
from viral.evaluation.model_comparison import compare
from viral.promotion.champion import PromotionPolicy, compare_versions, promote
from viral.promotion.changelog import Changelog, TrainingSnapshot, load_changelog, save_changelog
from viral.promotion.listing import describe_model, show_lines
from viral.registry.registry import Registry
from viral.storage.store import Store

NEW = {**LABEL, "name": "log_views-2031-01-06"}
QUICK = PromotionPolicy(resamples=100)


@pytest.fixture
def store(tmp_path, save: Save) -> Store:
    """A champion, and a better version with other labels."""
    store = Store.open(tmp_path)
    save(store, "m", 2.0)
    promote(store, "m/1", QUICK)
    save(store, "m", 0.5, label=NEW)
    return store


def test_versions_of_two_label_tables_are_compared_where_both_were_asked(store: Store) -> None:
    registry, pair = Registry(store), (("m", 2), ("m", 1))
    with pytest.raises(TableError, match="m/2 and m/1 were trained on different labels"):
        compare_versions(registry, *pair, ("mae",), 100)
    with pytest.raises(PromotionError):
        promote(store, "m/2", QUICK)
    predictions = make_predictions(3.0).slice(0, 200)
    test_predictions.save(store, "m", 1, predictions, label=NEW["name"])
    comparison = compare_versions(registry, *pair, ("mae",), 100)
    expected = compare(
        test_predictions.read(store, "m", 2),
        test_predictions.read(store, "m", 1, label=NEW["name"]),
        names=("mae",),
        resamples=100,
    )
    assert comparison == expected
    assert comparison.only_one == 270 - comparison.posts > 0
    reversed_comparison = compare_versions(registry, *reversed(pair), ("mae",), 100)
    assert reversed_comparison.figures["mae"].difference.value == -comparison.figures["mae"].difference.value
    assert promote(store, "m/2", QUICK).gain.posts == comparison.posts


def test_a_changelog_is_shown(store: Store) -> None:
    test_predictions.save(store, "m", 1, make_predictions(2.0), label=NEW["name"])
    before, after = (
        TrainingSnapshot(
            f"m/{version}", table, 100 * version, "2030-01-01T00:00:00", "2030-12-01T00:00:00", {"a": version}, "h", "0"
        )
        for version, table in ((1, "log_views"), (2, NEW["name"]))
    )
    difference = compare_versions(Registry(store), ("m", 2), ("m", 1), ("mae",), 100)
    changelog = Changelog(
        "2031-02-03T00:00:00", "2031-01-01", ["Posts of then: wrong."], before, after, difference, ["look"]
    )
    save_changelog(store, "m", 2, changelog)
    assert load_changelog(store, "m", 2) == changelog
    text = "\n".join(show_lines(describe_model(store, "m")))
    for line in (
        "Posts of then: wrong.",
        "m/2 was trained on 200 posts 2030-01-01 to 2030-12-01",
        '{"a": 1} → {"a": 2}',
    ):
        assert line in text
    assert f"m/2 against m/1, on {difference.posts} new test posts" in text
    assert load_changelog(store, "m", 1) is None
    assert "changelog" not in "\n".join(show_lines(describe_model(store, "m/1")))
