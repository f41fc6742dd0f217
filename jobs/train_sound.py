"""Train the sound model on log-mel spectrograms and labels, from random weights or those of a saved model."""

from __future__ import annotations

from functools import partial

import click

from jobs.runtime.options import resolve_feature_set
from jobs.train_network import run
from jobs.training.options import Workers, workers_option
from jobs.training.specs import TrainSpec
from viral.console.commands import execute
from viral.console.options import ray_options, root_options
from viral.console.output import print_summary
from viral.models.train_config import Optimizer, Precision, TrainConfig
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tables.run_log import record_run

SOUND = "sound"  # name of the architecture, the default feature set and the default model


@click.command()
@click.option("--feature-set", default=SOUND, show_default=True, help="A set or YAML file with the extractor logmel.")
@click.option("--label", default="log_views", show_default=True, help="Label table to learn.")
@click.option("--name", help="Name of the saved model; by default MODEL, or that of --continue-from.")
@workers_option
@click.option("--epochs", default=TrainConfig.epochs, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True)
@click.option("--precision", default="auto", show_default=True, type=click.Choice(["auto", "float32", "bfloat16"]))
@click.option("--optimizer", default="adam", show_default=True, type=click.Choice(["adam", "adamw", "sgd"]))
@click.option(
    "--lr", default=1e-3, show_default=True, type=click.FloatRange(0, min_open=True), help="Peak learning rate."
)
@click.option("--continue-from", metavar="NAME[/VERSION]", help="Start from the weights of this model.")
@ray_options
@root_options
def command(
    feature_set: str,
    label: str,
    name: str | None,
    workers: Workers,
    epochs: int,
    seed: int,
    precision: Precision,
    optimizer: Optimizer,
    lr: float,
    continue_from: str | None,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Train the sound model on a feature table and a label table. After a kill the same command resumes.

    Split the labels by sound (`viral label --split sound`) or label sounds (`viral sounds`): else the same sound may be
    in the training and the test split. With --continue-from, the result is by default the next version of that model.
    """
    store = Store.open(root)
    start = Registry(store).load(continue_from) if continue_from else None
    spec = TrainSpec(
        # A continued model keeps its name: it becomes the next version, and promotions compare versions of one name.
        name or (start.name if start else SOUND),
        resolve_feature_set(feature_set, None, store),
        label,
        workers,
        extractor="logmel",
        architecture=SOUND,
        start=start,
    )
    config = TrainConfig(
        epochs=epochs, seed=seed, precision=precision, optimizer=optimizer, learning_rate=lr, loss="squared"
    )
    work = partial(run, store, spec, config, address=address, debug=debug)
    print_summary(record_run(store, "train", lambda _: work()), as_json=as_json)


if __name__ == "__main__":
    execute(command)
