"""`viral models`: what models there are, what one is made of, which of two is better, and who is the champion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, ParamSpec, TypeVar

import click

from viral.console.options import root_options
from viral.console.output import to_json
from viral.errors import ConfigError
from viral.evaluation.model_comparison import COMPARED_METRICS, DECISIVE_METRICS, Comparison
from viral.evaluation.report.glossary import GLOSSARY
from viral.promotion.champion import METRIC, PromotionPolicy, compare_versions, promote
from viral.promotion.listing import describe_model, estimate_line, list_lines, list_models, promotion_line, show_lines
from viral.promotion.mlflow_mirror import SyncResult, sync_to_mlflow
from viral.registry.promotions import CHAMPION, Promotion
from viral.registry.registry import Registry
from viral.storage.store import Store

P = ParamSpec("P")
R = TypeVar("R")


@click.group()
def command() -> None:
    """The models of a root: NAME (its newest version), NAME/VERSION, or NAME@champion.

    MLflow is brought up to date by each of these: `mlflow.db` in the root, or the server that --mlflow names.
    """


def _options(function: Callable[P, R]) -> Callable[P, R]:
    return click.option(
        "--mlflow",
        envvar="MLFLOW_TRACKING_URI",
        metavar="URI",
        help="A server or a database instead of the root's own.",
    )(root_options(function))


resamples = click.option(
    "--resamples", default=1000, show_default=True, type=click.IntRange(100), help="Of the bootstrap."
)


@dataclass(frozen=True)
class _Answer:
    """What a command says: `values` for machines, `lines` for people."""

    values: dict[str, Any]
    lines: Iterable[str]


@command.command("list")
@_options
def list_models(mlflow: str | None, root: str, as_json: bool, debug: bool) -> None:
    """All versions, with the champions and the main figures."""
    del debug  # read by the caller of all commands
    store = Store.open(root)
    rows = list(list_models(store))
    _answer(store, mlflow, _Answer({"models": [asdict(row) for row in rows]}, list_lines(rows)), as_json=as_json)


@command.command("show")
@click.argument("model")
@_options
def show_model(model: str, mlflow: str | None, root: str, as_json: bool, debug: bool) -> None:
    """What a version is made of, its figures and promotions, and what changed since the version before."""
    del debug
    store = Store.open(root)
    row = describe_model(store, model)
    _answer(store, mlflow, _Answer(asdict(row), show_lines(row)), as_json=as_json)


@command.command("compare")
@click.argument("one")
@click.argument("other")
@resamples
@_options
def compare_models(
    one: str, other: str, resamples: int, mlflow: str | None, root: str, as_json: bool, debug: bool
) -> None:
    """How much higher each figure is for ONE than for OTHER, on the test posts of both, with 90 % paired intervals."""
    del debug
    store = Store.open(root)
    registry = Registry(store)
    first, second = registry.resolve(one), registry.resolve(other)
    found = compare_versions(registry, first, second, COMPARED_METRICS, resamples)
    one, other = (f"{name}/{version}" for name, version in (first, second))
    values = {"one": one, "other": other, **asdict(found)}
    _answer(store, mlflow, _Answer(values, _compare_lines(one, other, found)), as_json=as_json)


@command.command("promote")
@click.argument("model")
@click.option(
    "--metric", default=METRIC, show_default=True, type=click.Choice(DECISIVE_METRICS), help="What must be better."
)
@click.option("--margin", default=0.0, show_default=True, type=click.FloatRange(0), help="By more than this.")
@click.option("--force", "forced", metavar="REASON", help="Whatever the figures say; the reason is kept.")
@resamples
@_options
def promote_model(
    model: str,
    metric: str,
    margin: float,
    forced: str | None,
    resamples: int,
    mlflow: str | None,
    root: str,
    as_json: bool,
    debug: bool,
) -> None:
    """Make a version the champion of its name: `NAME@champion` means it from then on, also to an endpoint that runs.

    Refused unless the 90 % interval of its gain over the champion, by authors on the test posts of both, lies above
    the margin.
    """
    del debug
    store = Store.open(root)
    promotion = promote(store, model, PromotionPolicy(metric, margin, forced, resamples))
    name = model.partition("/")[0].partition("@")[0]
    values = {"model": f"{name}/{promotion.version}", **asdict(promotion)}
    _answer(store, mlflow, _Answer(values, _promote_lines(name, promotion)), as_json=as_json)


def _answer(store: Store, uri: str | None, answer: _Answer, *, as_json: bool) -> None:
    """Bring MLflow up to date and print; where that fails, print all the same before it is said."""
    failure = None
    try:
        mirrored = sync_to_mlflow(store, uri)
    except ConfigError as error:
        failure, mirrored = error, SyncResult("not up to date")
    if as_json:
        click.echo(to_json({**answer.values, **asdict(mirrored)}))
    else:
        for line in answer.lines:
            click.echo(line)
        new = f" ({mirrored.registered} new)" if mirrored.registered else ""
        click.echo(f"mlflow: {mirrored.mlflow}{new}")
    if failure:
        raise failure


def _compare_lines(one: str, other: str, found: Comparison) -> Iterator[str]:
    left = [f"{count} of {name} alone" for name, count in ((one, found.only_one), (other, found.only_other)) if count]
    yield (
        f"{one} against {other}, on {found.posts} test posts by {found.authors} authors"
        + (f"; left out: {', '.join(left)}" if left else "")
    )
    yield f"{'':<10} {one:>12} {other:>12}   difference (90 %, by authors)"
    for name, pair in found.figures.items():
        values = " ".join(f"{'-' if each is None else f'{each:.4f}':>12}" for each in (pair.one, pair.other))
        yield f"{name:<10} {values}   {estimate_line(pair.difference)} {_verdict(name, pair.difference)}".rstrip()


def _verdict(name: str, difference: Any) -> str:
    """What a difference means, where its interval leaves no doubt."""
    better = GLOSSARY[name].better
    if difference.low is None or better == "target" or difference.low <= 0 <= difference.high:
        return ""
    return "better" if (difference.low > 0) == (better == "higher") else "worse"


def _promote_lines(name: str, promotion: Promotion) -> Iterator[str]:
    yield f"{name}/{promotion.version} is {name}@{CHAMPION}"
    yield f"promoted {promotion_line(promotion)}"
