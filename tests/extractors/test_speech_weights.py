"""Which Whisper model an extractor of speech is given, what identifies it, and what is said where it cannot be had."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.extractors.made_voice import voice
from tests.extractors.tiny_speech import sounding
from viral.errors import ConfigError, WeightsError
from viral.extractors.encode import encode
from viral.extractors.feature_set import FeatureSet, UnavailableWarning
from viral.extractors.speech import Speech
from viral.extractors.transcription import TRACK
from viral.extractors.words import Words
from viral.weights.resolve import resolve_local

pytestmark = pytest.mark.usefixtures("nothing_leaves_this_machine")


def test_a_folder_is_known_by_its_files(whisper: Path, aligner: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(whisper, tmp_path / "copy"))
    result = Speech(weights=str(whisper)).identity(resolve_local)
    assert Speech(weights=str(copy)).identity(resolve_local) == result
    (copy / "tokenizer.json").write_text("{}")
    others = [
        Speech(weights=str(copy)),
        Speech(weights=str(whisper), precision="int8_float32"),
        Speech(weights=str(whisper), language="en"),
        Speech(weights=str(whisper), aligners={"en": str(aligner)}),
    ]
    assert all(other.identity(resolve_local) != result for other in others)
    assert Words(weights=str(whisper)).identity(resolve_local)["weights"] == result["weights"]


def test_what_is_missing_is_said(whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRAL_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="viral weights fetch whisper-small"):
        Words().check(resolve_local)
    with pytest.raises(WeightsError, match="no model at nowhere: give whisper-tiny"):
        Speech(weights="nowhere").check(resolve_local)
    with pytest.raises(WeightsError, match="no model at nowhere: give wav2vec2"):
        Speech(weights=str(whisper), aligners={"en": "nowhere"}).check(resolve_local)
    copy = Path(shutil.copytree(whisper, tmp_path / "copy"))
    (copy / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"copy lacks tokenizer\.json"):
        Speech(weights=str(copy)).load("cpu", resolve_local)


def test_an_optional_one_may_do_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRAL_WEIGHTS", str(tmp_path))
    chosen = FeatureSet.from_dict({"name": "s", "extractors": [{"name": "speech", "optional": True}, "metadata"]})
    with pytest.warns(UnavailableWarning, match="speech is missing"):
        built = chosen.build()
    result = encode(built, [sounding(np.ones(TRACK.rate))])
    assert (result.errors, result.notes, result.vectors[0]["speech"]) == ([{}], [{}], None)


def test_known_weights_are_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRAL_WEIGHTS", str(tmp_path))
    (tmp_path / "whisper-tiny").mkdir()
    for file in ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / "whisper-tiny" / file).write_text("nothing")
    Speech(weights="whisper-tiny").check(resolve_local)
    assert Speech(weights="whisper-tiny").identity(resolve_local)["weights"].startswith("whisper-tiny@sha256:")
    with pytest.raises(WeightsError, match="is not a Whisper model that CTranslate2 can read") as caught:
        Speech(weights="whisper-tiny").load("cpu", resolve_local)
    assert "\n" not in str(caught.value)


def test_no_aligner_in_a_folder(whisper: Path, aligner: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(aligner, tmp_path / "copy"))
    (copy / "model.safetensors").write_bytes(b"nothing")
    speech = Speech(weights=str(whisper), language="en", aligners={"en": str(copy)}).load("cpu", resolve_local)
    with pytest.raises(WeightsError, match=r"is not a wav2vec 2\.0 model"):
        speech(sounding(voice(8)))


def test_a_precision_that_the_processor_lacks(whisper: Path) -> None:
    with pytest.raises(ConfigError, match="cannot compute in float16 on cpu: choose float32"):
        Speech(weights=str(whisper), precision="float16").load("cpu", resolve_local)
