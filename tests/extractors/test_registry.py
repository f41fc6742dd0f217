from __future__ import annotations

import pytest

from viral.errors import ConfigError
from viral.extractors.registry import EXTRACTORS, extractor, extractor_class, parameters

WITHOUT_DEFAULT = {"videomae": {"weights": "random"}}


@pytest.mark.parametrize("name", EXTRACTORS)
def test_every_name_leads_to_its_class(name: str) -> None:
    needed = WITHOUT_DEFAULT.get(name)
    assert extractor_class(name).name == name
    assert extractor(name, needed) == extractor(name, needed or {})
    assert set(extractor(name, needed).params()) == set(parameters(name))


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"no extractor is named 'vgg19': choose from metadata, .*caption, .*r2plus1d"
    ):
        extractor("vgg19")


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("resnet50", {"frame": 3}, "resnet50 has no parameter 'frame': choose from weights, precision, frames"),
        ("acoustics", {"model": "x"}, "acoustics has no parameter 'model': it takes none"),
        ("resnet50", {"frames": 0}, "resnet50.frames: .*greater than or equal to 1"),
        ("resnet50", {"frames": "many"}, "resnet50.frames: "),
        ("r2plus1d", {"precision": "auto"}, "r2plus1d.precision: .*'float32' or 'bfloat16'"),
        ("vivit", {"tokens": 0}, "vivit.tokens: .*greater than or equal to 1"),
        ("videomae", {}, "videomae.weights has no default: choose from kinetics400, random, or give a path"),
    ],
)
def test_wrong_parameters_are_refused(name: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        extractor(name, params)
