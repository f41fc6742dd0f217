"""`viral trends`: what rises among the posts of a root, and what viral posts have in common."""

from __future__ import annotations

from dataclasses import asdict

import click

from viral.console.options import root_options
from viral.console.output import print_summary, to_json
from viral.queries.command import plain
from viral.storage.store import Store
from viral.tables.run_log import record_run
from viral.trends.kinds import KINDS
from viral.trends.listing import FEATURES, ORDERS, feature_lines, top, trend_lines
from viral.trends.trends import DAYS, Trends, TrendsSummary, run
from viral.trends.window import parse_time

_TITLES = [kind.title for kind in KINDS] + [FEATURES]


@click.command()
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(_TITLES), help="Show only this; repeatable; default: all."
)
@click.option(
    "--window", "days", default=DAYS, show_default=True, type=click.FloatRange(1 / 24, 366), help="Days of a window."
)
@click.option("--as-of", metavar="TIME", help="End of the newest window (UTC); default: the last post.")
@click.option("--by", default="rise", show_default=True, type=click.Choice(list(ORDERS)), help="Order of the lists.")
@click.option("--top", "count", default=10, show_default=True, type=click.IntRange(1), help="Length of each list.")
@root_options
def command(
    kinds: tuple[str, ...], days: float, as_of: str | None, by: str, count: int, root: str, as_json: bool, debug: bool
) -> None:
    """Find the sounds, hashtags, words, creators and topics that rise, and compare viral posts with the others.

    All of it is written to the tables trends, trend_posts and trend_features, which `viral query` reads.
    """
    del debug  # handled by the caller of all commands
    store, time = Store.open(root), None if as_of is None else parse_time(as_of)
    found: list[Trends] = []

    def work() -> TrendsSummary:
        """Compute and write the tables."""
        found.append(run(store, days=days, as_of=time))
        return found[0].summary

    summary = record_run(store, "trends", lambda _: work())
    shown = kinds or tuple(_TITLES)
    if as_json:
        click.echo(to_json({**asdict(summary), **_lists(found[0], shown, by, count)}))
        return
    print_summary(summary, as_json=False)
    for title in shown:
        lines = feature_lines(found[0], count) if title == FEATURES else trend_lines(found[0], title, by, count)
        click.echo("\n" + "\n".join(lines))


def _lists(trends: Trends, shown: tuple[str, ...], by: str, count: int) -> dict[str, object]:
    """The shown rows, as JSON has them."""
    tables = {
        title: trends.features.slice(0, count) if title == FEATURES else top(trends, title, by, count)
        for title in shown
    }
    return {"lists": {title: [plain(row) for row in table.to_pylist()] for title, table in tables.items()}}
