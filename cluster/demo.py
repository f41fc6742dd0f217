"""`viral demo`: all steps from videos to a served model, on this machine and a synthetic corpus."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import httpx

from cluster.serve import wait_for_stop
from jobs import backfill, evaluate, ingest, label, train_network
from jobs.backfilling.summary import BackfillSummary
from jobs.ingesting.source import IngestSource
from jobs.runtime.session import connect, session
from jobs.training.specs import TrainSpec
from serve.endpoint import free_port, running
from serve.settings import EndpointSpec
from viral.config import Settings, load
from viral.console.commands import execute
from viral.console.output import progress_bar
from viral.demo import CorpusSpec, generate, new_clip
from viral.evaluation.splits import SplitSpec
from viral.extractors.feature_set import FeatureSet
from viral.labels import LabelSpec
from viral.models.train_config import TrainConfig
from viral.storage.store import Store
from viral.tables.schemas import SYNTHETIC

SYNTHETIC_WARNING = (
    "The corpus is SYNTHETIC: shapes, tones and template captions. Its results say nothing about real posts."
)
WORKERS = 2  # the fewest that show training on several workers
RESAMPLES = 200  # enough for rough intervals; the demo should end within minutes


@dataclass(frozen=True)
class DemoSummary:
    """Results of all steps, as `--json` prints them."""

    root: str
    corpus: str
    scorecard: str
    backfill: dict[str, Any]
    train: dict[str, Any]
    figures: dict[str, Any]
    answer: dict[str, Any]
    expected: dict[str, Any]
    seconds: float


def run(root: Path, spec: CorpusSpec, settings: Settings, *, keep_serving: bool, debug: bool = False) -> DemoSummary:
    """Generate a corpus, then ingest, label, backfill, train, evaluate, serve, and score one new clip."""
    root.mkdir(parents=True, exist_ok=True)
    store, corpus, started = Store.open(root), root / "corpus", time.monotonic()
    light = FeatureSet.named("light")
    click.echo(f"{SYNTHETIC_WARNING}\nHow it was generated: {corpus}/README.txt")
    # One session for all steps: otherwise each would start and stop a Ray of its own, which takes seconds.
    with session(debug=debug):
        backfilled = _prepare(store, corpus, spec, light, settings)
        with step(f"train: the fusion model, on {WORKERS} workers"):
            trained = train_network.run(store, TrainSpec("demo", light, "log_views", WORKERS), TrainConfig())
        with step("evaluate: on authors outside the training split, against baselines"):
            scorecard = evaluate.run(store, trained.model, resamples=RESAMPLES)
            click.echo("\n".join(f"   {line}" for line in scorecard.lines()))
        # By an author outside the corpus, with traits that should get many views: the answer can be compared with the
        # truth.
        clip, facts = new_clip(corpus, spec)
        with (
            step("serve: start the endpoint, score one new clip over HTTP"),
            _endpoint(store, trained.model, settings) as url,
        ):
            response = _post_clip(url, clip, facts)
            # The URL only if it stays up: the endpoint of a plain demo ends with this block.
            _print_next_steps(root, scorecard.html, trained.model, url if keep_serving else None, clip)
            if keep_serving:
                wait_for_stop()
    return DemoSummary(
        root=str(root),
        corpus=str(corpus),
        scorecard=scorecard.html,
        backfill=asdict(backfilled),
        train=asdict(trained),
        figures=asdict(scorecard)["figures"],
        answer=response,
        expected=facts["truth"],
        seconds=time.monotonic() - started,
    )


def _prepare(
    store: Store, corpus: Path, spec: CorpusSpec, feature_set: FeatureSet, settings: Settings
) -> BackfillSummary:
    """Generate the corpus, and make posts, labels and features of it."""
    with step(f"corpus: {spec.posts} clips by {spec.authors} authors into {corpus}"):
        generate(corpus, spec, progress=progress_bar("corpus"))
    with step("ingest: scraped rows into the posts table"):
        # The source name marks the corpus as synthetic in every model card and scorecard that follows.
        ingest.run(store, IngestSource("csv", (str(corpus / "posts.csv"),), name=SYNTHETIC))
    with step("label: the target is log views, the top quarter is viral; split by author"):
        # By author: the corpus plants an effect of each author, which a model could otherwise learn by heart.
        label.run(store, LabelSpec("log_views", top_fraction=0.25), SplitSpec("author"))
    with step(f"backfill: decode every video once, extract the `{feature_set.name}` feature set"):
        backfilled = backfill.run(store, feature_set, settings, progress=progress_bar("backfill"))
        click.echo(f"   {backfilled.ok} ok, {backfilled.partial} partial, {backfilled.failed} failed")
    return backfilled


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print the title of a step, then its duration."""
    click.echo(f"\n— {title}")
    started = time.monotonic()
    yield
    click.echo(f"   {time.monotonic() - started:.0f} s")


def _endpoint(store: Store, model: str, settings: Settings) -> AbstractContextManager[str]:
    """Run the endpoint, on another port if the configured one is taken."""
    port = free_port(settings.serve.host, settings.serve.port)
    settings = settings.model_copy(update={"serve": settings.serve.model_copy(update={"port": port})})
    connect()
    return running(EndpointSpec(store.root, (model,), settings))


def _post_clip(url: str, clip: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Score a clip over HTTP; print the answer and return it."""
    # Some clips lack a caption or a follower count on purpose; an absent field is then sent as absent, not as "None".
    fields = {name: str(facts[name]) for name in ("caption", "author_followers", "posted_at") if facts.get(name)}
    with clip.open("rb") as file:
        reply = httpx.post(f"{url}/v1/score", data=fields, files={"file": (clip.name, file, "video/mp4")}, timeout=120)
    reply.raise_for_status()
    body: dict[str, Any] = reply.json()
    click.echo(json.dumps(body, indent=1))
    return body


def _print_next_steps(root: Path, scorecard: str, model: str, url: str | None, clip: Path) -> None:
    lines = [
        f"\nThe scorecard: {scorecard}",
        "Next:",
        f"  viral score {clip} --root {root} --model {model} --caption 'your words'",
        f"  viral serve --root {root} --model {model}",
    ]
    if url:
        lines += [
            f"  curl -F file=@{clip} -F caption='your words' {url}/v1/score",
            f"Serving at {url}; Ctrl-C stops it.",
        ]
    click.echo("\n".join(lines))


@click.command()
@click.option("--root", default="viral-demo", show_default=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--posts", default=CorpusSpec.posts, show_default=True, type=click.IntRange(80))
@click.option("--seed", default=0, show_default=True)
@click.option("--keep-serving", is_flag=True, help="Keep the endpoint running until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON at the end.")
@click.option("--debug", is_flag=True, help="Show Ray's output and tracebacks.")
def command(root: Path, posts: int, seed: int, keep_serving: bool, as_json: bool, debug: bool) -> None:
    """Run every step once on a synthetic corpus: ingest, label, backfill, train, evaluate, serve, score."""
    # Five posts per author, as in the default corpus, so that a split by author leaves enough of them on each side.
    spec = CorpusSpec(posts=posts, authors=posts // 5, seed=seed)
    summary = run(root.absolute(), spec, load(), keep_serving=keep_serving, debug=debug)
    click.echo(json.dumps(asdict(summary)) if as_json else f"\nDone in {summary.seconds:.0f} s.")


if __name__ == "__main__":
    execute(command)
