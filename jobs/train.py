"""The models that can be trained, each a job of its own."""

from __future__ import annotations

import click

from viral.console.commands import Commands, execute

MODELS = {
    "fusion": ("jobs.train_network", "All modalities of a feature set, fused (--architecture)."),
    **{
        modality: ("jobs.train_network", f"The {modality} of a feature set alone.")
        for modality in ("text", "audio", "image", "editing", "metadata")
    },
    "sound": ("jobs.train_sound", "The spectrogram of the sound, by convolution; goes on from a saved model."),
    "video": ("jobs.train_video", "A video network, fine-tuned end to end on the videos themselves."),
    "ensemble": ("jobs.train_ensemble", "Regression, forest, boosted trees, SVM and k-NN, weighed on validation."),
    "stacked": ("jobs.train_stacked", "Saved models as one, weighed on validation: by default fusion and ensemble."),
}
"""For each model the module that holds its `command`, and what the overview says of it."""


@click.group(cls=Commands, table=MODELS, subcommand_metavar="MODEL [ARGS]...")
def command() -> None:
    """Features and labels to a saved model, trained on any number of workers."""


if __name__ == "__main__":
    execute(command)
