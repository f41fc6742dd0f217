"""Real speech, and tiny Whisper and wav2vec 2.0 models with random weights, as files that real loaders read."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from viral.extractors.extractor import Context, PostInput
from viral.extractors.transcription import TRACK
from viral.media.audio import read_audio
from viral.media.limits import MediaLimits
from viral.media.media import Audio, Facts, Media

SYLLABLES = tuple("".join(letters) for letters in product("bdfgklmnprstvz", "aeiou"))
SEED = 1
STD = 2.0  # of the weights: sure enough of its syllables that they pass for speech
LENGTH = 30  # tokens of a segment: few enough that they do not pass for a loop

SPOKEN = {
    "moonshine_wheel__beckett.wav": 0.9,
    "gradio_wheel__cate_blanch_2.mp3": 0.8,
    "gpac+testsuite__media__auxiliary_files__count_german.mp3": 0.8,
    "voskjs_npm__package__audio__sentencesWithSilences.wav": 0.3,
}
"""Real recordings of speech, with the least share of it that the detector should hear."""
SILENCES = "voskjs_npm__package__audio__sentencesWithSilences.wav"
NO_SPEECH = "Zulko+moviepy__media__crunching.mp3"


def write_whisper(folder: Path, *, multilingual: bool = True) -> Path:
    """A Whisper of one layer that says syllables, converted by CTranslate2's own converter."""
    import torch
    from ctranslate2.converters import TransformersConverter
    from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

    tokenizer, languages = _tokenizer(multilingual)
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    tokens = {"decoder_start_token_id": end + 1, "bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    sizes = {
        f"{half}_{what}": size
        for half in ("encoder", "decoder")
        for what, size in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 16))
    }
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(SEED)
        config = WhisperConfig(vocab_size=len(tokenizer) + 1501, d_model=16, init_std=STD, **sizes, **tokens)
        model = WhisperForConditionalGeneration(config)
        decoder = model.model.decoder
        decoder.embed_tokens.weight[end].normal_(std=STD)  # it would be zero, as that of the padding
        decoder.embed_positions.weight[LENGTH:] = 1000 * decoder.embed_tokens.weight[end]  # it ends there
    hub = folder / "hub"
    model.save_pretrained(hub)
    tokenizer.save_pretrained(hub)
    GenerationConfig(
        suppress_tokens=list(range(end + 1, config.vocab_size)),
        begin_suppress_tokens=[end],
        lang_to_id={token: tokenizer.convert_tokens_to_ids(token) for token in languages},
        alignment_heads=[[0, 0]],
    ).save_pretrained(hub)
    TransformersConverter(str(hub), copy_files=["tokenizer.json"]).convert(str(folder / "converted"))
    return folder / "converted"


def _tokenizer(multilingual: bool) -> tuple[Any, list[str]]:
    """A word is a token; which tokens there are, and in which order, is Whisper's."""
    from faster_whisper.tokenizer import _LANGUAGE_CODES
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    languages = [f"<|{code}|>" for code in _LANGUAGE_CODES]
    first, *last = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")
    special = ["<|endoftext|>", "<|startoftranscript|>", *languages, *(f"<|{name}|>" for name in (first, *last))]
    # The empty word is what CTranslate2 tells a multilingual model by.
    words = [*(f"Ġ{word}" for word in SYLLABLES), *([""] if multilingual else ["Ġ"])]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="Ġba"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, additional_special_tokens=special), languages


def write_aligner(folder: Path) -> Path:
    """A wav2vec 2.0 of one layer that knows the letters of the syllables but one."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC
    from transformers import Wav2Vec2Processor as Processor

    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABDEFGIKLMNOPRSTUV"]  # no Z
    folder.mkdir()
    (folder / "letters.json").write_text(json.dumps({letter: place for place, letter in enumerate(letters)}))
    tokenizer = Wav2Vec2CTCTokenizer(folder / "letters.json")
    Processor(feature_extractor=Wav2Vec2FeatureExtractor(), tokenizer=tokenizer).save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        config = Wav2Vec2Config(
            vocab_size=len(letters),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            conv_dim=(8,) * 7,
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=2,
        )
        Wav2Vec2ForCTC(config).save_pretrained(folder)
    return folder


def sounding(samples: np.ndarray) -> PostInput:
    return PostInput(Media(Facts(), {TRACK: Audio(samples.astype(np.float32), TRACK.rate)}))


def heard(cases: Path, name: str, caption: str | None = None) -> PostInput:
    return replace(sounding(read_audio(str(cases / name), TRACK.rate, MediaLimits()).samples), context=Context(caption))
