"""The published weights that extractors may name: where they come from, under which licence, and what they hash to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

_NAMED_DIGEST = re.compile(r"-([0-9a-f]{8})\.[a-z]+$")


@dataclass(frozen=True)
class Licence:
    """The terms of a publication: an SPDX name where there is one, where it is stated, and what else binds its user."""

    name: str
    stated: str
    note: str = ""
    commercial: bool = True


UNSTATED = Licence("unstated", "", "ask the publisher")


@dataclass(frozen=True)
class KnownWeights:
    """One published file. Where its name ends in eight digits of its SHA-256, as torch hub has it, they are checked.

    Attributes:
        name: what `viral weights` calls it.
        url: where it is published.
        sha256: of the file, where it is known for certain.
        size: in bytes.
        licence: its terms.
    """

    name: str
    url: str
    sha256: str = ""
    size: int | None = None
    licence: Licence = UNSTATED

    @property
    def file(self) -> str:
        """The name of the file in a weights folder."""
        return self.url.rsplit("/", 1)[-1]

    @property
    def files(self) -> tuple[str, ...]:
        """The file, as a hub model has several."""
        return (self.file,)

    @property
    def digest(self) -> str:
        """How the SHA-256 begins that the name of the file tells; empty where it tells none."""
        found = _NAMED_DIGEST.search(self.file)
        return found[1] if found else ""

    @property
    def published(self) -> dict[str, str]:
        """How the SHA-256 of the file begins, as far as it is known."""
        return {self.file: self.sha256 or self.digest}

    @property
    def source(self) -> str:
        """Where it is published."""
        return self.url

    def inside(self, folder: Path) -> Path:
        """What is handed to who asks for the weights in `folder`: the file."""
        return folder / self.file


@dataclass(frozen=True)
class HubModel:
    """A published model of several files in one folder, at a repository of the Hugging Face hub.

    Attributes:
        name: what `viral weights` calls it.
        repo: `owner/name` on the hub.
        files: what is needed of the repository.
        revision: the commit that is fetched. A branch (`main`) is settled by the first fetch, which notes the commit.
        sha256: of each file whose hash is known for certain. The others are trusted on first use: what is fetched or
            put is written into a manifest, and checked ever after.
        size: of all files, in bytes, about.
        licence: its terms.
    """

    name: str
    repo: str
    files: tuple[str, ...]
    revision: str = "main"
    sha256: Mapping[str, str] = field(default_factory=dict, hash=False)
    size: int | None = None
    licence: Licence = UNSTATED

    @property
    def published(self) -> dict[str, str]:
        """The SHA-256 of each file; empty where it is not known."""
        return {file: self.sha256.get(file, "") for file in self.files}

    @property
    def source(self) -> str:
        """Where it is published."""
        return f"https://huggingface.co/{self.repo}"

    def inside(self, folder: Path) -> Path:
        """What is handed to who asks for the model in `folder`: the folder."""
        return folder


Known = KnownWeights | HubModel

Resolve = Callable[[str | Known], Path]
"""Turns the path or URI of a weights file, or known weights, into a local file (of a hub model, a folder of files);
raises WeightsError where it cannot."""


@runtime_checkable
class TellsDigest(Protocol):
    """A `Resolve` that can tell what known weights are without bringing them onto the machine."""

    def digest(self, known: Known) -> str | None:
        """One SHA-256 over all files; None where only the files themselves would tell."""


def _torchvision(data: str) -> Licence:
    note = f"the code's licence; of weights torchvision says that the terms of the data, {data}, may bind their use"
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
    """Whisper as CTranslate2 reads it."""
    repo = f"Systran/faster-whisper-{size}"
    return HubModel(f"whisper-{size}", repo, files, licence=_mit(repo))


# Hashes: the eight digits in each name are the publisher's; the whole ones are those that users of the files report.
_ALL: tuple[Known, ...] = (
    # Version 1: trained without label smoothing, which costs transfer (Kornblith et al. 2021, arXiv 2010.16402).
    KnownWeights(
        "resnet50-imagenet",
        "https://download.pytorch.org/models/resnet50-0676ba61.pth",
        sha256="0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
        size=102_530_333,
        licence=_torchvision("ImageNet"),
    ),
    KnownWeights(
        "vgg16-imagenet",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        size=553_433_881,
        licence=_torchvision("ImageNet"),
    ),
    KnownWeights(
        "r2plus1d-kinetics400",
        "https://download.pytorch.org/models/r2plus1d_18-91a641e6.pth",
        sha256="91a641e6c2ab531d1aca5f4321b4d802ec5c3babc15df855cdb6e39c6a1107c8",
        size=126_162_996,
        licence=_torchvision("Kinetics-400"),
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
    # No extractor takes these unless they are named.
    HubModel(
        "videomae-kinetics400",
        "MCG-NJU/videomae-base-finetuned-kinetics",
        ("config.json", "model.safetensors"),
        licence=_NON_COMMERCIAL,
    ),
)

KNOWN_WEIGHTS = {known.name: known for known in _ALL}
"""What `viral weights fetch` can bring, by name."""
