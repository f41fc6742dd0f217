"""Extractors by name. A class is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any

from pydantic import TypeAdapter, ValidationError

from viral.errors import ConfigError
from viral.extractors.spec import ExtractorSpec

EXTRACTORS: Mapping[str, str] = {
    "metadata": "viral.extractors.metadata:Metadata",
    "popularity": "viral.extractors.popularity:Popularity",
    "caption": "viral.extractors.caption:Caption",
    "wording": "viral.extractors.wording:Wording",
    "acoustics": "viral.extractors.acoustics:Acoustics",
    "loudness": "viral.extractors.loudness:Loudness",
    "logmel": "viral.extractors.logmel:LogMel",
    "craft": "viral.extractors.craft:Craft",
    "resnet50": "viral.extractors.resnet50:ResNet50",
    "vgg16": "viral.extractors.vgg16:VGG16",
    "r2plus1d": "viral.extractors.r2plus1d:R2Plus1D",
    "speech": "viral.extractors.speech:Speech",
    "words": "viral.extractors.words:Words",
    "ocr": "viral.extractors.ocr:OCR",
    "shots": "viral.extractors.shots:Shots",
    "faces": "viral.extractors.faces:Faces",
    "vivit": "viral.extractors.vivit:ViViT",
    "videomae": "viral.extractors.videomae:VideoMAE",
}
"""`module:class` of every extractor, by the name of its column."""
_NAMELESS: Mapping[str, str] = {"foreign": "viral.extractors.foreign:Foreign"}
"""Classes whose parameters give the column its name."""


def extractor_class(name: str) -> type[ExtractorSpec]:
    """The class of an extractor.

    Raises:
        ConfigError: there is none of that name; the message lists those there are.
    """
    known = {**EXTRACTORS, **_NAMELESS}
    if name not in known:
        raise ConfigError(f"no extractor is named {name!r}: choose from {', '.join(EXTRACTORS)}")
    module, _, attribute = known[name].partition(":")
    found: type[ExtractorSpec] = getattr(import_module(module), attribute)
    return found


def parameters(name: str) -> tuple[str, ...]:
    """The names of an extractor's parameters."""
    return tuple(field.name for field in fields(extractor_class(name)))


def extractor(name: str, params: Mapping[str, Any] | None = None) -> ExtractorSpec:
    """An extractor by name and parameters, checked; its weights are not touched.

    Raises:
        ConfigError: an unknown name or parameter (the message lists the allowed ones), or a value that does not fit.
    """
    given, allowed = dict(params or {}), parameters(name)
    if unknown := sorted(set(given) - set(allowed)):
        choices = f"choose from {', '.join(allowed)}" if allowed else "it takes none"
        raise ConfigError(f"{name} has no parameter {unknown[0]!r}: {choices}")
    try:
        return TypeAdapter(extractor_class(name)).validate_python(given)
    except ValidationError as error:
        raise ConfigError(_said(name, error)) from error


def _said(name: str, error: ValidationError) -> str:
    first = error.errors()[0]
    place = f"{name}.{'.'.join(map(str, first['loc']))}"
    if first["type"] != "missing":
        return f"{place}: {first['msg']}"
    known: Mapping[str, str] = getattr(extractor_class(name), "known", {})
    choices = f"choose from {', '.join((*known, 'random'))}, or give a path" if known else "give it"
    return f"{place} has no default: {choices}"
