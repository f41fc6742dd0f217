"""`viral plan`: how many machines a backfill takes, how long, at what price."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from cluster.planning import Fleet, durations_of, measure, plan, read_prices
from jobs.runtime.options import feature_set_options, resolve_feature_set
from viral.console.options import root_options
from viral.console.output import print_summary
from viral.errors import ConfigError
from viral.features.feature_table import features_table
from viral.storage.store import Store
from viral.tables.places import posts_table


@click.command()
@feature_set_options
@click.option("--posts", type=click.IntRange(1), help="Posts to process; default: those without a row.")
@click.option("--hours", type=click.FloatRange(0, min_open=True), help="End within so many hours.")
@click.option("--cores", type=click.IntRange(1), help="Or run on so many cores.")
@click.option("--prices", type=click.Path(path_type=Path), help="YAML list: name, cores, gpus, per_hour [low, high].")
@root_options
def command(
    feature_set: str,
    weights: str | None,
    posts: int | None,
    hours: float | None,
    cores: int | None,
    prices: Path | None,
    root: str,
    as_json: bool,
    debug: bool,
) -> None:
    """Plan a backfill by what earlier ones of this root have taken: a small one of typical posts is enough."""
    del debug
    if (hours is None) == (cores is None):
        raise ConfigError("say either when it must end (--hours) or what it runs on (--cores)")
    machines = read_prices(prices) if prices else []
    store = Store.open(root)
    resolved_set = resolve_feature_set(feature_set, weights, store)
    measured = measure(store, resolved_set)
    tables = posts_table(store), features_table(store, resolved_set)
    # Read, not counted from the names of the files, which count each attempt at a post.
    rows = [] if posts else [sum(part.num_rows for part in table.scan(["post_id"])) for table in tables]
    count = posts or rows[0] - rows[1]
    if count < 1:
        raise ConfigError("all posts have a row already: name the number of posts with --posts")
    found = plan(measured, count, durations_of(store), hours=hours, cores=cores, machines=machines)
    lines = [_line(fleet) for fleet in found.fleets if isinstance(fleet, Fleet)]
    print_summary(found if as_json else replace(found, fleets=lines), as_json=as_json)


def _line(fleet: Fleet) -> str:
    """One kind of machine, in words."""
    price = f"{fleet.price_low:,.2f} to {fleet.price_high:,.2f}"
    return f"{fleet.nodes} x {fleet.machine}, {fleet.hours:.3g} h: {price}"
