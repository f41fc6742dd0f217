"""The parts of a scorecard beside its main figures, from the rows that were gathered."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.evaluating.rows import ids_of, masks
from viral.config import load
from viral.evaluation.ablation import Masked, ablate
from viral.evaluation.evaluate import Forecast, Truth
from viral.evaluation.groups import TIERS, grouped, tiers
from viral.evaluation.languages import NO_CAPTION, language_name
from viral.evaluation.quick_bootstrap import RESAMPLES
from viral.evaluation.report.frames import frames_of
from viral.evaluation.report.model_card import card_of
from viral.evaluation.report.report import Example, Report
from viral.evaluation.report.sections import Ablation, Grouping
from viral.evaluation.threshold_sensitivity import cuts
from viral.scoring.scorer import Scorer
from viral.storage.store import Store


def with_sections(
    judged: Report, scorer: Scorer, rows: pa.Table, truth: Truth, said: Forecast, *, resamples: int = RESAMPLES
) -> Report:
    """The report with its further parts.

    Args:
        judged: the report so far.
        scorer: the model.
        rows: all posts, as gathered.
        truth: the test posts.
        said: what the model says of them.
        resamples: draws of whole authors; `brief.RESAMPLES` at most.
    """
    parts = rows["split"].to_numpy()
    train, tested = rows.filter(pa.array(parts == "train")), rows.filter(pa.array(parts == "test"))
    card, targets = scorer.saved.card, train["target"].to_numpy()
    average = float(train["is_viral"].to_numpy(zero_copy_only=False).mean()), float(targets.mean())
    return judged.model_copy(
        update={
            "ablation": _ablation(scorer, tested, truth, said, average, resamples),
            "cuts": cuts(truth, said, targets, resamples=resamples),
            "groupings": _groupings(tested, truth, said, resamples),
            "card": card_of(card, scorer.feature_set),
            "calibration": scorer.calibration.facts() if scorer.calibration else {},
        }
    )


def with_frames(judged: Report, store: Store, rows: pa.Table) -> Report:
    """The report with a frame beside each of its examples whose video can be had."""
    wanted = {example.post_id for example in (*judged.best, *judged.worst)}
    videos = zip(ids_of(rows), rows["video_uri"].to_pylist(), strict=True)
    images = frames_of(store, {post: uri for post, uri in videos if post in wanted}, load())

    def shown(examples: tuple[Example, ...]) -> tuple[Example, ...]:
        return tuple(each.model_copy(update={"image": images.get(each.post_id)}) for each in examples)

    return judged.model_copy(update={"best": shown(judged.best), "worst": shown(judged.worst)})


def _ablation(
    scorer: Scorer, tested: pa.Table, truth: Truth, said: Forecast, average: tuple[float, float], resamples: int
) -> Ablation | None:
    """Of the posts that were scored again; None where the model looks at one modality, or none was."""
    shown, again = masks(scorer), np.flatnonzero(tested["masked"].is_valid().to_numpy())
    if not shown or not len(again):
        return None
    values = tested["masked"].combine_chunks().drop_null().flatten().to_numpy().reshape(len(again), len(shown), 2)
    some = Truth([truth.post_ids[int(at)] for at in again], truth.authors[again], truth.y[again], truth.is_viral[again])
    whole = Forecast(said.probability[again], said.score[again])
    said_less = [Masked(names, values[:, at, 0], values[:, at, 1]) for at, names in enumerate(shown)]
    return ablate(some, whole, said_less, average, resamples=resamples)


def _groupings(tested: pa.Table, truth: Truth, said: Forecast, resamples: int) -> tuple[Grouping, ...]:
    followers: npt.NDArray[np.float64] = tested["author_followers"].cast(pa.float64()).to_numpy()
    languages = [NO_CAPTION if code is None else language_name(code) for code in tested["language"].to_pylist()]
    return (
        grouped("followers of the author", tiers(followers), truth, said, order=TIERS, resamples=resamples),
        grouped("language of the caption", languages, truth, said, resamples=resamples),
    )
