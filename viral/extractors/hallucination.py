"""Recognition of words that Whisper invents where nobody speaks."""

from __future__ import annotations

import zlib

# Whisper's own thresholds (Radford et al. 2022, arXiv 2212.04356, section 4.5). There, the first two must fail together
# before a segment counts as silent, and the last two lead to another try at a higher temperature. Here, a detector of
# voice comes first and there is no other try, so each one counts. With tiny.en on 43 TikToks and 20 recordings,
# sentences in English had at most 0.43 and at least -0.78. What was invented on music, noise and silence had more than
# 0.6 or less than -1.0; "you", on silence, had -0.38.
MAX_NO_SPEECH = 0.6
MIN_LOG_PROBABILITY = -1.0
MAX_COMPRESSION_RATIO = 2.4

# No sequence of this many tokens may occur twice in a segment: Whisper's other try, but the same sound always gives the
# same transcript. With 8, all loops in 43 TikToks ended and no other segment changed its words; with 5, words that are
# sung twice were garbled.
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
