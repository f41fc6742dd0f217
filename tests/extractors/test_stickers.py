"""Texts laid over a video: embedded as captions are, absent without any."""

from __future__ import annotations

import numpy as np

from viral.extractors.caption import MULTILINGUAL, Caption
from viral.extractors.extractor import Context, PostInput
from viral.extractors.feature_set import FeatureSet
from viral.extractors.metadata import Metadata
from viral.extractors.stickers import Stickers
from viral.weights.resolve import resolve_local


def test_the_texts_together_are_embedded() -> None:
    stickers, caption = (spec.build("cpu", resolve_local) for spec in (Stickers(), Caption(model=MULTILINGUAL)))
    texts = [("đợi một chút", "POV"), None, ()]
    posts = [PostInput(None, Context(caption="other words", sticker_texts=each)) for each in texts]
    vector, *absent = stickers(posts)
    [expected] = caption([PostInput(None, Context(caption="đợi một chút POV"))])
    assert isinstance(vector, np.ndarray)
    assert isinstance(expected, np.ndarray)
    np.testing.assert_array_equal(vector, expected)
    assert absent == [None, None]
    assert Stickers().load("cpu", resolve_local)(posts[1]) is None


def test_other_extractors_do_not_see_them() -> None:
    [vector] = Metadata().build("cpu", resolve_local)([PostInput(None, Context(sticker_texts=("a",)))])
    assert vector is None
    for name in ("light", "words", "full"):
        assert "stickers" not in FeatureSet.named(name).dims
