"""Recognition of words that Whisper invents where nobody speaks."""

from __future__ import annotations

import zlib

# Whisper's own thresholds (Radford et al. 2022, arXiv 2212.04356, section 4.5). There, a segment counts as silent only
# if it fails the first two together, as Whisper is the only detector of voice. Here, a voice detector comes before it,
# and nothing is sampled again. On 43 TikToks and 17 recordings no speech in English had more than 0.43 and less than
# -0.78; music, noise and silence had from 0.73 to 0.95, with log-probabilities up to -0.38 ("you").
MAX_NO_SPEECH = 0.6
MIN_LOG_PROBABILITY = -1.0
MAX_COMPRESSION_RATIO = 2.4

# Whisper samples a looping segment again at a higher temperature. Here no sequence of that many tokens may occur twice
# in 30 s, so that the same sound gives the same transcript. With 8, all loops in 43 TikToks ended and no other
# segment lost words; with 5, words that are sung twice changed.
NO_REPEAT_TOKENS = 8


def is_speech(text: str, log_probability: float, no_speech: float) -> bool:
    """Return whether a segment's text was spoken, not invented on music, noise, silence or a voice without words.

    Args:
        text: the recognised text.
        log_probability: mean log-probability of its tokens.
        no_speech: Whisper's probability of no speech.
    """
    return (
        bool(text)
        and no_speech <= MAX_NO_SPEECH
        and log_probability >= MIN_LOG_PROBABILITY
        and _compression_ratio(text) <= MAX_COMPRESSION_RATIO
    )


def _compression_ratio(text: str) -> float:
    """Size of the text over its size after compression: high for repeated phrases."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))
