"""Train a video network end to end on videos and labels with Ray Train, on any number of workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import click

from jobs.runtime.session import connect, session
from jobs.training import video_worker
from jobs.training.clips import ClipSource, Decoders
from jobs.training.labelled import MIN_ROWS, check_classes, video_counts
from jobs.training.specs import VideoSpec
from jobs.training.state import WORKER_CPUS, final_checkpoint, fit, run_identity
from jobs.training.video_model import save
from jobs.training.video_worker import VideoTask
from viral.config import Settings, load
from viral.console.options import ray_options, root_options
from viral.console.output import print_summary
from viral.datasets.labelled_videos import LabelledVideos, VideoCounts
from viral.datasets.streams import streams_of
from viral.errors import TableError
from viral.extractors.clip_network import BACKBONES, clip_network
from viral.extractors.feature_set import ExtractorEntry, FeatureSet
from viral.models.fusion_config import FusionConfig
from viral.models.train_config import Scaling
from viral.models.video_config import VideoConfig
from viral.storage.lock import exclusive
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import check_name, labels_prefix, posts_table
from viral.tables.run_log import record_run
from viral.tables.schemas import LABELS
from viral.weights.root import RootWeights

_SHARED_CPUS = 0.1  # per decoding task if training reserves all cores; the task mostly waits for its sandbox


@dataclass
class VideoSummary:
    """The saved model, and results of its training. `skipped` counts unusable posts of the last epoch, by reason."""

    model: str
    posts: int
    epochs: int
    best_epoch: int
    validation_loss: float
    data_hash: str
    resumed_at_epoch: int
    posts_per_second: float
    skipped: dict[str, int] = field(default_factory=dict)


def run(
    store: Store,
    spec: VideoSpec,
    config: VideoConfig,
    settings: Settings,
    *,
    address: str | None = None,
    debug: bool = False,
) -> VideoSummary:
    """Train and save. After a kill, the same call on the same data resumes from the newest checkpoint.

    Raises:
        TableError: labels are missing, or too few posts have both a label and a video. WeightsError: the backbone's
            weights are missing.
    """
    check_name(spec.name)
    # Missing weights fail here, not on a worker minutes later.
    spec.backbone.check(RootWeights(store))
    labels, about = replaced.open_current(store, labels_prefix(spec.label), LABELS)
    data = LabelledVideos(posts_table(store), labels)
    # The same buckets for counting, training and validation: chunks are cut from the counts per bucket.
    log2_buckets = data.log2_buckets()
    with session(address, store, debug=debug):
        counts = _counts(data, spec, config)
        task = _task(store, spec, config, counts, ClipSource(data, log2_buckets, spec.backbone, settings, "validation"))
        # The content of the initial weights, not their name: other weights are another run.
        backbone = spec.backbone.identity(task.resolve)
        identity = run_identity(asdict(task.train), asdict(task.heads), spec.workers, backbone, counts.data_hash)
        prefix = f"runs/{spec.name}-{identity}"
        with exclusive(store, f"{spec.name}-{identity}"):  # another run on the same data has the same checkpoints
            result = fit(store, prefix, video_worker.run, spec.workers, {"task": task})
            state = final_checkpoint(result)["state"]
            version = save(store, spec, task, counts, about, state)
            store.delete_below(prefix)
    return _summarise(f"{spec.name}/{version}", counts, state, resumed_at_epoch=int(result.return_value))


def _summarise(model: str, counts: VideoCounts, state: Mapping[str, Any], resumed_at_epoch: int) -> VideoSummary:
    return VideoSummary(
        model=model,
        posts=sum(counts.posts["train"]),
        epochs=state["epoch"],
        best_epoch=state["best_epoch"],
        validation_loss=state["losses"][state["best_epoch"] - 1][1],
        data_hash=counts.data_hash,
        resumed_at_epoch=resumed_at_epoch,
        posts_per_second=sum(counts.posts["train"]) * state["epoch"] / state["seconds"],
        skipped=state["skipped"],
    )


def _counts(data: LabelledVideos, spec: VideoSpec, config: VideoConfig) -> VideoCounts:
    counts = video_counts(data)
    for split, minimum in (("train", max(MIN_ROWS, spec.workers)), ("validation", 1)):
        if (count := sum(counts.posts[split])) < minimum:
            raise TableError(
                f"{count} posts of the {split} split of labels/{spec.label} have a video: "
                f"at least {minimum} are needed; ingest more, or label with another split"
            )
    # The score alone can be learned although no post, or every post, is viral.
    if config.task != "score":
        check_classes(counts.mean("is_viral"), f"labels/{spec.label}")
    return counts


def _task(store: Store, spec: VideoSpec, config: VideoConfig, counts: VideoCounts, source: ClipSource) -> VideoTask:
    streams = streams_of(FeatureSet(spec.name, (ExtractorEntry(spec.backbone),)))
    target = counts.moments["target"]
    return VideoTask(
        source=replace(source, clips=config.clips),
        heads=FusionConfig(streams, architecture="linear", dropout=config.dropout, modality_dropout=0.0),
        train=config,
        scaling=Scaling(float(target.mean[0]), float(target.scale[0])),
        means={name: counts.mean(name) for name in counts.moments},
        posts=counts.posts,
        decoders=_decoders(spec.workers),
        resolve=RootWeights(store),
    )


def _decoders(workers: int) -> Decoders:
    """Divide the cores that training leaves free among its workers; one trains in this process, too."""
    import ray

    connect()
    workers = max(1, workers)
    free = (float(ray.cluster_resources().get("CPU", 1)) - workers * WORKER_CPUS) / workers
    return Decoders(int(free), 1.0) if free >= 1 else Decoders(1, min(_SHARED_CPUS, max(0.0, free)))


@click.command()
@click.option("--backbone", default=BACKBONES[0], show_default=True, type=click.Choice(BACKBONES))
@click.option("--weights", help="Initial weights of the backbone: a name, a path, a URI, or `random` for a dry run.")
@click.option("--clips", type=click.IntRange(1), help="Clips per post in validation; 3 by default.")
@click.option("--frames", type=click.IntRange(2), help="Frames per clip, for backbones that accept any.")
@click.option("--size", type=click.IntRange(32), help="Side of a frame in pixels, for backbones that accept any.")
@click.option("--label", default="log_views", show_default=True, help="Label table to learn.")
@click.option("--name", default="video", show_default=True, help="Name of the saved model.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(0), help="0: in this process.")
@click.option("--task", default="both", show_default=True, type=click.Choice(["viral", "score", "both"]))
@click.option("--epochs", default=VideoConfig.epochs, show_default=True, type=click.IntRange(1))
@click.option("--frozen-epochs", default=VideoConfig.frozen_epochs, show_default=True, type=click.IntRange(0))
@click.option("--batch-size", default=VideoConfig.batch_size, show_default=True, type=click.IntRange(1))
@click.option("--micro-batch", default=VideoConfig.micro_batch, show_default=True, type=click.IntRange(1))
@click.option("--learning-rate", default=VideoConfig.learning_rate, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--precision", default="auto", show_default=True, type=click.Choice(["auto", "float32", "bfloat16"]))
@ray_options
@root_options
def command(
    backbone: str,
    weights: str | None,
    clips: int | None,
    frames: int | None,
    size: int | None,
    label: str,
    name: str,
    workers: int,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
    **training: Any,
) -> None:
    """Train a video network on the posts' videos end to end. After a kill the same command resumes.

    The heads are trained first, then the whole network. The feature set of the saved model is model:NAME/VERSION.
    """
    options = {"weights": weights, "clips": clips, "frames": frames, "size": size}
    params = {option: value for option, value in options.items() if value is not None}
    spec = VideoSpec(name, clip_network(backbone, params), label, workers)
    # The other options are named as the fields of `VideoConfig`.
    config = VideoConfig(**training)
    store = Store.open(root)
    work = partial(run, store, spec, config, load(), address=address, debug=debug)
    print_summary(record_run(store, "train", lambda _: work()), as_json=as_json)
