"""`viral train`: one subcommand per kind of model."""

from __future__ import annotations

import click

from viral.console.commands import LazyGroup, execute

MODELS = {
    "fusion": ("jobs.train_network", "All modalities of a feature set, fused (--architecture)."),
    **{
        modality: ("jobs.train_network", f"Only the {modality} of a feature set.")
        for modality in ("text", "audio", "image", "editing", "metadata")
    },
    "sound": ("jobs.train_sound", "A convolutional network on the sound's spectrogram; can start from a saved model."),
    "video": ("jobs.train_video", "A video network, fine-tuned end to end on the videos themselves."),
    "ensemble": ("jobs.train_ensemble", "Regression, forest, boosted trees, SVM and k-NN, weighted on validation."),
    "stacked": ("jobs.train_stacked", "Saved models combined, weighted on validation: by default fusion and ensemble."),
}
"""Module and help line of each subcommand."""


@click.group(cls=LazyGroup, table=MODELS, subcommand_metavar="MODEL [ARGS]...")
def command() -> None:
    """Train a model on features and labels, on any number of workers."""


if __name__ == "__main__":
    execute(command)
