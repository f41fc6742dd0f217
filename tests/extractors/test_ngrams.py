"""The n-grams of a caption: the same everywhere, distinct, bounded, and without counts."""

from __future__ import annotations

import numpy as np

from viral.extractors.encode import encode
from viral.extractors.extractor import Context, PostInput
from viral.extractors.feature_set import FEATURE_SETS, FeatureSet
from viral.extractors.ngrams import HASHES, NGRAMS, WORDS

SET = FeatureSet.from_dict({"name": "mine", "extractors": ["ngrams"]})


def ngrams(*contexts: Context) -> list[set[int] | None]:
    results = encode(SET.build(), [PostInput(None, context) for context in contexts]).vectors
    return [None if row["ngrams"] is None else set(row["ngrams"][row["ngrams"] > 0].tolist()) for row in results]


def test_words_pairs_and_characters() -> None:
    one, other, shorter = ngrams(*(Context(caption=text) for text in ("my dog", "My  dog", "dog")))
    assert one == other
    assert one is not None
    assert shorter is not None
    # "my", "dog" and "my dog"; then " my", "my ", " my ", " do", "dog", "og ", " dog" and "dog ".
    assert (sum(ngram <= HASHES for ngram in one), sum(ngram > HASHES for ngram in one)) == (3, 8)
    assert shorter < one


def test_hashtags_of_the_exporter_count_once() -> None:
    within, beside, absent = ngrams(
        Context(caption="hi #dog"), Context(caption="hi #dog", hashtags=("dog",)), Context(caption=" ", hashtags=())
    )
    assert within == beside
    assert absent is None
    assert ngrams(Context(hashtags=("#dog",)))[0] == ngrams(Context(caption="#dog"))[0]


def test_a_long_caption_keeps_its_words_and_its_place() -> None:
    text = " ".join(f"word{i}" for i in range(500))
    (long,) = ngrams(Context(caption=text))
    assert long is not None
    assert len(long) == NGRAMS
    assert sum(ngram <= HASHES for ngram in long) == WORDS
    assert max(long) < 2**24


def test_hashes_are_the_same_in_every_version() -> None:
    """Saved models name n-grams by them."""
    (known,) = ngrams(Context(caption="狗 a"))
    assert known is not None
    assert sorted(known) == [28058, 92595, 128392, 220673, 238521]


def test_the_named_sets_of_captions_have_them() -> None:
    assert all(("ngrams" in names) == ("caption" in names) for names in FEATURE_SETS.values())
    assert np.all([spec.sparse == (spec.name == "ngrams") for spec in FeatureSet.named("light").specs])
