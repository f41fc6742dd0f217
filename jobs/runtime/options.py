"""Command-line options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from viral.errors import ConfigError
from viral.extractors.extractor import Context
from viral.extractors.feature_set import FEATURE_SETS, FeatureSet
from viral.registry.registry import Registry
from viral.scoring.scorer import feature_set_of
from viral.storage.store import Store
from viral.weights.root import RootWeights

P = ParamSpec("P")
R = TypeVar("R")

_MODEL_PREFIX = "model:"


def feature_set_options(function: Callable[P, R]) -> Callable[P, R]:
    """Add `--feature-set` and `--weights`."""
    for option in (
        click.option("--weights", help="Weights of its networks: a name, path or URI, or `random` for a dry run."),
        click.option(
            "--feature-set",
            default="light",
            show_default=True,
            help=f"{', '.join(FEATURE_SETS)}, a YAML file, or {_MODEL_PREFIX}NAME/VERSION: the set of a saved model.",
        ),
    ):
        function = option(function)
    return function


class Count(click.ParamType[int]):
    """A count as people write it: 25000, 25K, 1.2M."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the text of an option."""
        from viral.sources.counts import parse_count  # pyarrow: not at import

        try:
            return value if isinstance(value, int) else parse_count(value)
        except ValueError as error:
            self.fail(f"{error}: write 25000 or 25K", param, ctx)


def draft_options(function: Callable[..., R]) -> Callable[..., R]:
    """Add the options that describe a draft besides its video; the command receives them as one `context`."""

    @wraps(function)
    def with_context(
        *,
        caption: str | None,
        hashtags: tuple[str, ...],
        posted_at: datetime | None,
        author_followers: int | None,
        sound_original: bool | None,
        sound_posts: int | None,
        sound_uses: int | None,
        sticker_texts: tuple[str, ...],
        **options: Any,
    ) -> R:
        """Call the command with the options that describe a draft as one `context`."""
        utc = posted_at.replace(tzinfo=UTC) if posted_at else None
        # No hashtag given means unknown: they are then taken from the caption.
        context = Context(caption, hashtags or None, utc, author_followers, sound_original, sound_posts, sound_uses)
        return function(context=replace(context, sticker_texts=sticker_texts or None), **options)

    command: Callable[..., R] = with_context
    for option in (
        click.option("--sticker-text", "sticker_texts", multiple=True, help="A text laid over the picture."),
        click.option("--sound-uses", type=Count(), help="Posts on the whole platform that use the sound."),
        click.option("--sound-posts", type=Count(), help="Posts in the root that use the sound."),
        click.option("--sound-original/--sound-reused", default=None),
        click.option("--author-followers", type=Count()),
        click.option(
            "--posted-at", type=click.DateTime(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"]), help="In UTC."
        ),
        click.option("--hashtag", "hashtags", multiple=True),
        click.option("--caption"),
    ):
        command = option(command)
    return command


def photo_set_options(function: Callable[..., R]) -> Callable[..., R]:
    """Add `--photos` and `--sound`, by which FILES are the slides of one draft."""
    function = click.option("--sound", metavar="FILE", help="With --photos: the sound of the photo set.")(function)
    return click.option("--photos", is_flag=True, help="FILES are the slides of one photo set, in order.")(function)


def resolve_feature_set(name: str, weights: str | None, store: Store) -> FeatureSet:
    """Return the feature set of `--feature-set` and `--weights`; its weights are looked up in the root.

    Raises:
        ConfigError: unknown name, invalid file, or `weights` for a set that has its own. TableError: no such model.
    """
    if name.startswith(_MODEL_PREFIX):
        if weights:
            raise ConfigError("--weights is for the named sets: the feature set of a model has its own")
        return feature_set_of(Registry(store).load(name.removeprefix(_MODEL_PREFIX)))
    if name.endswith((".yaml", ".yml")):
        if weights:
            raise ConfigError(f"--weights is for the named sets: write weights into {name}")
        return FeatureSet.load(Path(name), resolve=RootWeights(store))
    return FeatureSet.named(name, weights=weights, resolve=RootWeights(store))
