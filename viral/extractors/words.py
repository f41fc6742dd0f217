"""Sentence embedding of caption and transcript together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from viral.extractors.extractor import PostInput, Vector
from viral.extractors.sentences import SENTENCE_DIM, sentence_encoder
from viral.extractors.spec import Encode, Resolver
from viral.extractors.spoken import SpokenSpec


@dataclass(frozen=True, kw_only=True)
class Words(SpokenSpec):
    """The all-MiniLM-L6-v2 embedding of the caption followed by the transcript; absent if both are missing.

    Long speech is truncated (see `sentence_encoder`). Subtitles of the platform take the place of the transcript, which
    is shared with `speech` if the parameters agree.
    """

    name: ClassVar[str] = "words"
    modality: ClassVar[str] = "text"
    dim: ClassVar[int] = SENTENCE_DIM
    revision: ClassVar[str] = "2"

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Load WhisperX and the sentence transformer. Raises ConfigError and WeightsError."""
        transcribe, embed = self.transcriber(device, resolve), sentence_encoder(device)

        def encode(post: PostInput) -> Vector | None:
            """Embed the caption and the speech as one text; None without either."""
            transcript = None if post.context.subtitles else transcribe(post)
            speech = transcript.text if transcript else post.context.subtitles or ""
            # The caption first: it is kept where long speech is cut off.
            text = f"{(post.context.caption or '').strip()}\n{speech}".strip()
            return embed(text) if text else None

        return encode
