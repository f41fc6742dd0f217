"""The `viral` console script. Each command is imported when it is called."""

from __future__ import annotations

import click

import viral
from viral.console.commands import LazyGroup, execute

# Names, not modules: `viral --help` answers at once because it imports none of them.
COMMANDS = {
    "demo": ("cluster.demo", "Run every step once on a small synthetic corpus."),
    "ingest": ("jobs.ingest", "Import scraped posts."),
    "fetch": ("jobs.fetch", "Download videos from URLs or feeds."),
    "backfill": ("jobs.backfill", "Extract features from all videos; resumes if interrupted."),
    "label": ("jobs.label", "Compute targets from view counts, and split the posts."),
    "duplicates": ("jobs.duplicates", "List the posts that show the same video."),
    "failures": ("jobs.failures", "List the posts that failed, by reason."),
    "train": ("jobs.train", "Train a model on features and labels."),
    "evaluate": ("jobs.evaluate", "Evaluate a model against baselines; writes JSON and HTML."),
    "audit": ("jobs.audit", "Check a model's data for leakage."),
    "drift": ("jobs.drift", "Test a model on newer posts, and raise alarms."),
    "models": ("viral.promotion.command", "List, compare and promote saved models."),
    "study": ("jobs.study", "Compare how different splits rate the same models."),
    "score": ("jobs.score", "Score files, or all posts of a feature table."),
    "explain": ("jobs.explain", "Explain a score, or rank several drafts."),
    "serve": ("cluster.serve", "Serve a model over HTTP (POST /v1/score)."),
    "app": ("cluster.app", "Open the pages: score drafts, compare, trends, search, diary."),
    "mcp": ("cluster.mcp", "Give an assistant the tools of an endpoint (MCP)."),
    "sounds": ("jobs.sounds", "Derive a root of sounds from the posts."),
    "monitor": ("viral.monitor.commands.group", "Watch feeds for a face, a flag or a logo; alert with evidence."),
    "tables": ("viral.queries.listing", "List the tables of a root, or the columns of one."),
    "query": ("viral.queries.command", "Run SQL over the tables of a root."),
    "search": ("viral.search.command", "Find posts by words, or by an example video, picture or post."),
    "trends": ("viral.trends.command", "Find what rises, and what viral posts have in common."),
    "status": ("jobs.status", "Show current and past runs."),
    "plan": ("cluster.plan", "Plan the machines, hours and price of a backfill."),
    "submit": ("cluster.submit", "Run a command as a job on a cluster, and follow it."),
    "jobs": ("cluster.job_commands", "List, follow and stop the jobs of a cluster."),
    "cluster": ("cluster.cluster_commands", "Start a cluster of several hosts on this machine, to try things out."),
    "weights": ("viral.weights.command", "List, download or import pretrained weights."),
}
"""Module that defines each command as `command`, and its line in `viral --help`."""


@click.group(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(viral.__version__)
def command() -> None:
    """Learn from short videos what makes them spread, and score new ones.

    `viral demo` runs every step on made-up videos. Your own data takes ingest, fetch (if the videos are on the web),
    backfill, label, train, evaluate and score, in this order.
    """


def main() -> None:
    """Entry point of the console script."""
    execute(command)
