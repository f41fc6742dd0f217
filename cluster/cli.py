"""The `viral` command: a table of commands, each loaded when it is called."""

from __future__ import annotations

import click

import viral
from viral.console.commands import Commands, execute

COMMANDS = {
    "demo": ("cluster.demo", "Everything once, on a synthetic corpus made here."),
    "ingest": ("jobs.ingest", "Scraped data to the posts table."),
    "fetch": ("jobs.fetch", "Videos by URL or feed into the root."),
    "label": ("jobs.label", "Counts to targets, and the split."),
    "backfill": ("jobs.backfill", "Videos to a feature table; goes on where it was killed."),
    "failures": ("jobs.failures", "The posts that failed, by reason."),
    "train": ("jobs.train", "Features and labels to a model."),
    "evaluate": ("jobs.evaluate", "A model on its test split, beside baselines: JSON and one HTML page."),
    "audit": ("jobs.audit", "Looks for leaks in what a model learned from."),
    "drift": ("jobs.drift", "A model on newer posts, with alarms."),
    "models": ("viral.promotion.command", "The saved models: list, show, compare, promote to champion."),
    "study": ("jobs.study", "One corpus through every split: a scorecard that says how much each flatters."),
    "score": ("jobs.score", "Score files, or all posts of a feature table."),
    "explain": ("jobs.explain", "Why a draft scores as it does, and which of several is ahead."),
    "serve": ("cluster.serve", "The endpoint: POST /v1/score."),
    "sounds": ("jobs.sounds", "Posts to a root of sounds."),
    "status": ("jobs.status", "What runs and ran on a root."),
    "weights": ("viral.weights.command", "Pretrained weights: list, fetch once, or put by hand."),
}
"""For each command the module that holds it as `command`, and what the overview says of it."""


@click.group(cls=Commands, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(viral.__version__)
def command() -> None:
    """Learns from short videos what makes them spread, and scores new ones."""


def main() -> None:
    """The console script."""
    execute(command)
