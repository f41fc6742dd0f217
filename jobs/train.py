"""The models that can be trained, each a job of its own."""

from __future__ import annotations

import click

from viral.cli import Commands, execute

MODELS = {
    "fusion": ("jobs.train_network", "All modalities of a feature set, fused (--architecture)."),
    **{
        modality: ("jobs.train_network", f"The {modality} of a feature set alone.")
        for modality in ("text", "audio", "image", "craft", "metadata")
    },
}
"""For each model the module that holds its `command`, and what the overview says of it."""


@click.group(cls=Commands, table=MODELS, subcommand_metavar="MODEL [ARGS]...")
def command() -> None:
    """Features and labels to a saved model, trained on any number of workers."""


if __name__ == "__main__":
    execute(command)
