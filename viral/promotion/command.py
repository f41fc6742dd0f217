"""`viral models`: list, show, compare and promote models, and copy them to MLflow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import click

from viral.console.options import root_options
from viral.console.output import print_summary, to_json
from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.model_comparison import COMPARED_METRICS, DECISIVE_METRICS, Comparison
from viral.evaluation.report.glossary import GLOSSARY
from viral.evaluation.report.page import verdict_of
from viral.promotion.champion import METRIC, PromotionPolicy, compare_versions, promote
from viral.promotion.listing import describe_model, estimate_line, list_lines, list_models, promotion_line, show_lines
from viral.promotion.mlflow_sync import sync_to_mlflow
from viral.registry.promotions import CHAMPION, Promotion
from viral.registry.registry import Registry
from viral.storage.store import Store

resamples_option = click.option(
    "--resamples", default=1000, show_default=True, type=click.IntRange(100), help="Resamples of the bootstrap."
)


@click.group()
def command() -> None:
    """Manage the models of a root: NAME (its newest version), NAME/VERSION, or NAME@champion."""


@command.command("list")
@root_options
def list_command(root: str, as_json: bool, debug: bool) -> None:
    """List all versions, with champions and main metrics."""
    del debug  # handled by the caller of all commands
    models = list(list_models(Store.open(root)))
    _print({"models": [asdict(model) for model in models]}, list_lines(models), as_json=as_json)


@command.command("show")
@click.argument("model")
@root_options
def show_command(model: str, root: str, as_json: bool, debug: bool) -> None:
    """Show a version's data, metrics and promotions, and the changes since the version before."""
    del debug
    details = describe_model(Store.open(root), model)
    promotions = [promotion.to_dict() for promotion in details.promotions]
    _print(asdict(details) | {"promotions": promotions}, show_lines(details), as_json=as_json)


@command.command("compare")
@click.argument("one")
@click.argument("other")
@resamples_option
@root_options
def compare_command(one: str, other: str, resamples: int, root: str, as_json: bool, debug: bool) -> None:
    """Compare ONE with OTHER on the test posts of both: differences of all metrics, with 90 % paired intervals."""
    del debug
    registry = Registry(Store.open(root))
    first, second = registry.resolve(one), registry.resolve(other)
    comparison = compare_versions(registry, first, second, COMPARED_METRICS, resamples)
    one, other = (f"{name}/{version}" for name, version in (first, second))
    values = {"one": one, "other": other, **asdict(comparison)}
    _print(values, _compare_lines(one, other, comparison), as_json=as_json)


@command.command("promote")
@click.argument("model")
@click.option("--metric", default=METRIC, show_default=True, type=click.Choice(DECISIVE_METRICS), help="Metric to use.")
@click.option("--margin", default=0.0, show_default=True, type=click.FloatRange(0), help="Minimal gain.")
@click.option("--force", "reason", metavar="REASON", help="Promote whatever the gain; the reason is stored.")
@resamples_option
@root_options
def promote_command(
    model: str, metric: str, margin: float, reason: str | None, resamples: int, root: str, as_json: bool, debug: bool
) -> None:
    """Make a version the champion of its name: `NAME@champion` from now on, also for running endpoints.

    Refused unless the 90 % interval of its gain over the champion, bootstrapped over the authors of the test posts of
    both, lies above the margin.
    """
    del debug
    promotion = promote(Store.open(root), model, PromotionPolicy(metric, margin, reason, resamples))
    name = model.partition("/")[0].partition("@")[0]
    values = {"model": f"{name}/{promotion.version}", **promotion.to_dict()}
    _print(values, _promote_lines(name, promotion), as_json=as_json)


@command.command("sync")
@click.option(
    "--mlflow",
    "uri",
    envvar="MLFLOW_TRACKING_URI",
    metavar="URI",
    help="Server or database.  [default: mlflow.db in the root]",
)
@root_options
def sync_command(uri: str | None, root: str, as_json: bool, debug: bool) -> None:
    """Copy all models to MLflow: runs, curves, metrics, registered versions, and the alias of the champion."""
    del debug
    print_summary(sync_to_mlflow(Store.open(root), uri), as_json=as_json)


def _print(values: dict[str, Any], lines: Iterable[str], *, as_json: bool) -> None:
    for line in [to_json(values)] if as_json else lines:
        click.echo(line)


def _compare_lines(one: str, other: str, comparison: Comparison) -> Iterator[str]:
    excluded = ((one, comparison.only_one), (other, comparison.only_other))
    left_out = ", ".join(f"{count} of {name} alone" for name, count in excluded if count)
    yield (
        f"{one} against {other}, on {comparison.posts} test posts by {comparison.authors} authors"
        + (f"; left out: {left_out}" if left_out else "")
    )
    yield f"{'':<10} {one:>12} {other:>12}   difference (90 %, by authors)"
    for name, pair in comparison.figures.items():
        values = " ".join(f"{'-' if value is None else f'{value:.4f}':>12}" for value in (pair.one, pair.other))
        yield f"{name:<10} {values}   {estimate_line(pair.difference)} {_verdict(name, pair.difference)}".rstrip()


def _verdict(metric: str, difference: Estimate) -> str:
    """`better` or `worse` where the interval excludes zero."""
    verdict = verdict_of(difference, GLOSSARY[metric].better)
    return "" if verdict == "unclear" else verdict


def _promote_lines(name: str, promotion: Promotion) -> Iterator[str]:
    yield f"{name}/{promotion.version} is {name}@{CHAMPION}"
    yield f"promoted {promotion_line(promotion)}"
