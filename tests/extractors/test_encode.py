from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import ClassVar

import numpy as np
import pytest
import torch

from viral.errors import WeightsError
from viral.extractors.encode import encode
from viral.extractors.extractor import Context, Extractor, ExtractorOutput, PostInput, Vector, VectorWithNote
from viral.extractors.feature_set import FeatureSet
from viral.extractors.image_network import ImageNetworkSpec
from viral.extractors.spec import BatchedExtractor
from viral.media.media import Facts, FrameBatch, Media
from viral.media.requests import AudioTrack, Clips, Frames, Packets, Request
from viral.weights.resolve import RANDOM, resolve_local

Whole = Callable[[Sequence[PostInput]], Sequence[ExtractorOutput]]


@dataclass(frozen=True)
class Given:
    """An extractor that runs a given function."""

    does: Whole
    name: str = "given"
    modality: str = "given"
    dim: int = 3
    version: str = "1"
    has_note: bool = False
    needs: tuple[Request, ...] = ()

    def __call__(self, batch: Sequence[PostInput]) -> Sequence[ExtractorOutput]:
        return self.does(batch)


def ones(batch: Sequence[PostInput]) -> list[Vector | None]:
    return [np.ones(3, np.float32) for _ in batch]


def captioned(*captions: str) -> list[PostInput]:
    return [PostInput(None, Context(caption=caption)) for caption in captions]


def test_one_bad_sample_costs_no_other() -> None:
    def choke(batch: Sequence[PostInput]) -> list[Vector | None]:
        if any(sample.context.caption == "bad" for sample in batch):
            raise RuntimeError("cannot swallow\nat line 3")
        return ones(batch)

    result = encode([Given(choke), Given(ones, name="other")], captioned("a", "bad", "c"))
    assert result.errors == [{}, {"given": "RuntimeError: cannot swallow"}, {}]
    assert [vectors["given"] is None for vectors in result.vectors] == [False, True, False]
    assert all(vectors["other"] is not None for vectors in result.vectors)
    assert set(result.seconds) == {"given", "other"}
    assert all(seconds >= 0 for seconds in result.seconds.values())


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        (np.ones(2, np.float32), r"float32 \(2,\), not float32 \(3,\)"),
        (np.ones(3, np.float64), "float64"),
        (np.array([1, np.nan, np.inf], np.float32), "2 values are not finite"),
    ],
)
def test_vectors_are_checked(vector: Vector, said: str) -> None:
    result = encode([Given(lambda batch: [vector for _ in batch])], captioned("a"))
    assert result.vectors == [{"given": None}]
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(result.errors[0]["given"])


def test_too_few_vectors_are_an_error_of_each_sample() -> None:
    result = encode([Given(lambda batch: [])], captioned("a", "b"))
    assert result.errors == [{"given": "ValueError: 0 vectors for 1 posts"}] * 2


def test_errors_of_the_request_are_not_swallowed() -> None:
    def missing(batch: Sequence[PostInput]) -> list[Vector | None]:
        raise WeightsError("no weights")

    with pytest.raises(WeightsError):
        encode([Given(missing)], captioned("a", "b"))


@dataclass(frozen=True, kw_only=True)
class SmallNetworkSpec(ImageNetworkSpec):
    """A network on a device whose memory holds few frames: above that it raises what PyTorch raises."""

    weights: str = RANDOM
    frames: int = 1
    holds: int = 2

    name: ClassVar[str] = "small"
    dim: ClassVar[int] = 4
    foldable: ClassVar[bool] = False
    passes: ClassVar[list[int]] = []

    def network(self) -> torch.nn.Module:
        network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 32, stride=32), torch.nn.AdaptiveAvgPool2d(1))
        return network.append(torch.nn.Flatten()).append(torch.nn.Linear(4, 2))

    head: ClassVar[str] = "3"

    def features(self, network: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
        self.passes.append(len(pixels))
        if len(pixels) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has none left.")
        return super().features(network, pixels)


def photos(spec: SmallNetworkSpec, *counts: int) -> list[PostInput]:
    """Posts with so many frames each."""
    chance = np.random.default_rng(0)
    frames = [chance.integers(0, 256, (count, 224, 224, 3), np.uint8) for count in counts]
    return [PostInput(Media(Facts(), {spec.needs[0]: FrameBatch(data, np.zeros(len(data)))})) for data in frames]


def batched(spec: SmallNetworkSpec) -> Extractor:
    """As on a GPU, several posts per pass; on the CPU."""
    network = spec.load_network(resolve_local).eval()
    return BatchedExtractor(spec, partial(spec.encode_batch, network, "cpu"))


def test_a_batch_that_does_not_fit_a_gpu_is_halved_until_it_does() -> None:
    spec = SmallNetworkSpec()
    posts = photos(spec, 1, 1, 1, 1, 1, 1)
    spec.passes.clear()
    result = encode([batched(spec)], posts)
    assert spec.passes == [6, 3, 1, 2, 3, 1, 2]
    assert result.errors == [{}] * 6
    large = encode([batched(replace(spec, holds=6))], posts)
    for vectors, same in zip(result.vectors, large.vectors, strict=True):
        np.testing.assert_allclose(vectors["small"], same["small"], rtol=1e-5)


def test_only_the_post_that_never_fits_fails() -> None:
    spec = SmallNetworkSpec()
    result = encode([batched(spec), Given(ones)], photos(spec, 1, 3, 1, 1))
    message = "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
    assert result.errors == [{}, {"small": message}, {}, {}]
    assert [vectors["small"] is None for vectors in result.vectors] == [False, True, False, False]
    assert all(vectors["given"] is not None for vectors in result.vectors)


def test_notes_are_json_beside_their_vectors() -> None:
    def tell(batch: Sequence[PostInput]) -> list[ExtractorOutput]:
        captions = [sample.context.caption for sample in batch]
        return [
            VectorWithNote(np.ones(3, np.float32), {"text": text, "at": [0.5, 1]}) if text else None
            for text in captions
        ]

    result = encode([Given(tell, has_note=True), Given(ones, name="other")], captioned("tiếng Việt 🙂", ""))
    assert result.errors == [{}, {}]
    assert result.notes == [{"given": '{"at":[0.5,1],"text":"tiếng Việt 🙂"}'}, {}]
    assert [vectors["given"] is None for vectors in result.vectors] == [False, True]
    assert isinstance(result.vectors[0]["given"], np.ndarray)


@pytest.mark.parametrize("value", [float("nan"), np.float32(1), "\ud800"])
def test_a_note_that_cannot_be_written_costs_one_row(value: object) -> None:
    def tell(batch: Sequence[PostInput]) -> list[ExtractorOutput]:
        return [
            VectorWithNote(np.ones(3, np.float32), {"a": value if sample.context.caption == "bad" else 1})
            for sample in batch
        ]

    result = encode([Given(tell, has_note=True)], captioned("good", "bad"))
    assert result.notes == [{"given": '{"a":1}'}, {}]
    assert (result.errors[0], list(result.errors[1])) == ({}, ["given"])
    assert result.vectors[1] == {"given": None}


@pytest.mark.parametrize(("has_note", "message"), [(True, "no note"), (False, "a note")])
def test_a_spec_says_whether_there_are_notes(has_note: bool, message: str) -> None:
    def other(batch: Sequence[PostInput]) -> list[ExtractorOutput]:
        vector = np.ones(3, np.float32)
        return [vector if has_note else VectorWithNote(vector, {}) for _ in batch]

    result = encode([Given(other, has_note=has_note)], captioned("a"))
    assert result.errors == [{"given": f"ValueError: {message}, contrary to its spec"}]


def test_no_samples(extractors: list[Extractor]) -> None:
    result = encode(extractors, [])
    assert result.vectors == result.errors == []


def test_the_contract_is_kept(full: FeatureSet, extractors: list[Extractor]) -> None:
    assert all(isinstance(extractor, Extractor) for extractor in extractors)
    assert {extractor.name: extractor.dim for extractor in extractors} == full.dims


def test_a_vector_depends_on_its_own_post_alone(extractors: list[Extractor], samples: list[PostInput]) -> None:
    together = encode(extractors, samples)
    assert together.errors == [{}, {}, {}]
    alone = encode(extractors, [samples[1]]).vectors[0]
    for name, vector in alone.items():
        assert vector is not None
        assert np.array_equal(vector, together.vectors[1][name])
        if name not in ("caption", "ngrams"):  # they all have the same
            assert not np.array_equal(vector, together.vectors[0][name])


PARTS = ("context", "sound", "frames", "clips")


@pytest.mark.parametrize("parts", [parts for count in range(5) for parts in combinations(PARTS, count)])
def test_every_subset_of_what_a_post_can_lack(
    extractors: list[Extractor], samples: list[PostInput], parts: tuple[str, ...]
) -> None:
    media = samples[0].media
    assert media is not None
    kinds = {"sound": AudioTrack, "frames": (Frames, Packets), "clips": Clips}
    tracks = {
        request: track
        for request, track in media.tracks.items()
        if any(isinstance(request, kind) for part, kind in kinds.items() if part in parts)
    }
    left: Media | None = replace(media, tracks=tracks) if tracks else None
    result = encode(extractors, [PostInput(left, samples[0].context if "context" in parts else Context())])
    assert result.errors == [{}]
    present = {name for name, vector in result.vectors[0].items() if vector is not None}
    expected = {
        "sound": {"acoustics"},
        "frames": {"craft", "efficientnet_lite0", "resnet50"},
        "clips": {"r2plus1d"},
        "context": {"caption", "ngrams"},
    }
    assert present == set().union({"metadata"} if parts else set(), *(expected[part] for part in parts))
