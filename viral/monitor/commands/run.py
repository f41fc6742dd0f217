"""`viral monitor run`: watch feeds."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime

import click

from viral.config import Settings, load
from viral.console.options import root_options
from viral.console.output import print_summary
from viral.errors import UsageError
from viral.fetching.hosts import AllowedHosts
from viral.fetching.rate_limit import TokenBuckets
from viral.monitor.alerts.channels import open_channel
from viral.monitor.alerts.outbox import Outbox, forget_old
from viral.monitor.alerts.schedule import Schedule
from viral.monitor.feeds.feed import open_feed
from viral.monitor.feeds.web import WebAccess
from viral.monitor.targets import check_faces, load_detector, target_names
from viral.monitor.watch.reach import Reach
from viral.monitor.watch.record import best_picture, expire
from viral.monitor.watch.scan import Scanner
from viral.monitor.watch.watch import Watch, WatchSummary
from viral.storage.lock import exclusive
from viral.storage.store import Store
from viral.tables.run_log import record_run

_LONGEST_SLEEP = 60.0  # between looks at the outbox: the end of quiet hours is met by the minute


@click.command()
@click.option(
    "--feed",
    "feeds",
    multiple=True,
    required=True,
    metavar="KIND:LOCATION",
    help="folder, jsonl, rss, page, tiktokapi.",
)
@click.option("--target", "targets", multiple=True, help="Targets to look for; default: all.")
@click.option(
    "--alert",
    "channels",
    multiple=True,
    default=("console",),
    show_default=True,
    help="console, mailto:ADDRESS, https://… (webhook) or apprise:URL.",
)
@click.option("--allow-host", "hosts", multiple=True, help="Host whose terms of use you accept; needed for the web.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True, help="Requests/s.")
@click.option("--faces", is_flag=True, help="Look for face targets, too; they are off otherwise.")
@click.option("--model", help="Model that predicts how far a post will spread, to rank alerts.")
@click.option("--every", type=click.FloatRange(min=1), default=300.0, show_default=True, help="Seconds between polls.")
@click.option("--once", is_flag=True, help="Poll each feed once, deliver, and end.")
@click.option("--digest", type=click.FloatRange(min=0, min_open=True), help="Hours that alerts are collected for.")
@click.option("--quiet", metavar="HH:MM-HH:MM", help="Hours without alerts.")
@click.option("--zone", default="UTC", show_default=True, help="Time zone of the quiet hours.")
@root_options
def command(
    feeds: tuple[str, ...],
    targets: tuple[str, ...],
    channels: tuple[str, ...],
    hosts: tuple[str, ...],
    rate: float,
    faces: bool,
    model: str | None,
    every: float,
    once: bool,
    digest: float | None,
    quiet: str | None,
    zone: str,
    root: str,
    as_json: bool,
    debug: bool,
) -> None:
    """Watch feeds for targets, until it is interrupted; a restart goes on where it ended.

    Alerts are possible matches: verify them.
    """
    del debug  # handled by the caller of all commands
    store, settings = Store.open(root), load()
    with ExitStack() as stack:
        limiter = TokenBuckets(rate)
        web = WebAccess(AllowedHosts(hosts), settings, limiter)
        stack.callback(web.close)
        scanner = _scanner(stack, store, settings, targets, faces=faces or settings.monitor.faces)
        reach = Reach(store, model, settings) if model else None
        if reach:
            stack.callback(reach.close)
        opened = [
            open_channel(text, settings.monitor, _log, lambda alert: best_picture(store, alert)) for text in channels
        ]
        outbox = Outbox(store, opened, Schedule.parse(digest, quiet, zone), _log)
        sources = {text: open_feed(text, web) for text in feeds}
        # One watch at a time: two would alert twice.
        stack.enter_context(exclusive(store, "monitor"))
        now = datetime.now(UTC)
        watch = Watch(
            store, settings, sources, scanner, outbox, web, limiter, _log, reach=reach, every=every, now=now
        )  # fmt: skip
        summary = record_run(store, "monitor", lambda _: _run(watch, once=once))
    print_summary(summary, as_json=as_json)


def _run(watch: Watch, *, once: bool) -> WatchSummary:
    while True:
        now = datetime.now(UTC)
        following = watch.round(now)
        expire(watch.store, now)
        forget_old(watch.store, now)
        if once:
            return watch.summary
        time.sleep(max(1.0, min(_LONGEST_SLEEP, (following - datetime.now(UTC)).total_seconds())))


def _scanner(stack: ExitStack, store: Store, settings: Settings, targets: tuple[str, ...], *, faces: bool) -> Scanner:
    detectors = [load_detector(store, name) for name in targets or target_names(store)]
    if not targets and not faces:
        if names := [detector.card.name for detector in detectors if detector.card.is_face]:
            _log(f"face targets are off (--faces): {', '.join(names)}")
        detectors = [detector for detector in detectors if not detector.card.is_face]
    for detector in detectors:
        check_faces(detector.card, on=faces)
    if not detectors:
        raise UsageError(f"there are no targets in {store.root}: add one first (viral monitor target add)")
    scanner = Scanner(detectors, store, settings)
    stack.callback(scanner.close)
    return scanner


def _log(line: str) -> None:
    # Standard error: with --json, standard output is the summary's.
    click.echo(line, err=True)
