"""Registry of extractors by name. A class is imported on first use."""

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
    "ngrams": "viral.extractors.ngrams:Ngrams",
    "wording": "viral.extractors.wording:Wording",
    "acoustics": "viral.extractors.acoustics:Acoustics",
    "loudness": "viral.extractors.loudness:Loudness",
    "logmel": "viral.extractors.logmel:LogMel",
    "craft": "viral.extractors.craft:Craft",
    "efficientnet_lite0": "viral.extractors.efficientnet_lite0:EfficientNetLite0",
    "resnet50": "viral.extractors.resnet50:ResNet50",
    "vgg16": "viral.extractors.vgg16:VGG16",
    "r2plus1d": "viral.extractors.r2plus1d:R2Plus1D",
    "speech": "viral.extractors.speech:Speech",
    "words": "viral.extractors.words:Words",
    "stickers": "viral.extractors.stickers:Stickers",
    "ocr": "viral.extractors.ocr:OCR",
    "shots": "viral.extractors.shots:Shots",
    "faces": "viral.extractors.faces:Faces",
    "vivit": "viral.extractors.vivit:ViViT",
    "videomae": "viral.extractors.videomae:VideoMAE",
}
"""`module:class` of every extractor, by its column name."""
_NAMED_BY_PARAMETER: Mapping[str, str] = {"foreign": "viral.extractors.external_features:ExternalFeatures"}
"""Classes whose column name is a parameter."""


def extractor_class(name: str) -> type[ExtractorSpec]:
    """Return the class of an extractor.

    Raises:
        ConfigError: unknown name; the message lists the extractors.
    """
    classes = {**EXTRACTORS, **_NAMED_BY_PARAMETER}
    if name not in classes:
        raise ConfigError(f"no extractor is named {name!r}: choose from {', '.join(EXTRACTORS)}")
    module, _, attribute = classes[name].partition(":")
    spec_class: type[ExtractorSpec] = getattr(import_module(module), attribute)
    return spec_class


def parameters(name: str) -> tuple[str, ...]:
    """Return the parameter names of an extractor."""
    return tuple(field.name for field in fields(extractor_class(name)))


def extractor(name: str, params: Mapping[str, Any] | None = None) -> ExtractorSpec:
    """Create the spec of an extractor and validate its parameters, without touching its weights.

    Raises:
        ConfigError: an unknown name or parameter (the message lists the allowed ones), or an invalid value.
    """
    values, allowed = dict(params or {}), parameters(name)
    if unknown := sorted(set(values) - set(allowed)):
        choices = f"choose from {', '.join(allowed)}" if allowed else "it takes none"
        raise ConfigError(f"{name} has no parameter {unknown[0]!r}: {choices}")
    try:
        # Parameters come from YAML files and saved models: types and ranges are checked here.
        return TypeAdapter(extractor_class(name)).validate_python(values)
    except ValidationError as error:
        raise ConfigError(_message(name, error)) from error


def _message(name: str, error: ValidationError) -> str:
    first = error.errors()[0]
    parameter = f"{name}.{'.'.join(map(str, first['loc']))}"
    if first["type"] != "missing":
        return f"{parameter}: {first['msg']}"
    names: Mapping[str, str] = getattr(extractor_class(name), "pretrained", {})
    choices = f"choose from {', '.join((*names, 'random'))}, or give a path" if names else "give it"
    return f"{parameter} has no default: {choices}"
