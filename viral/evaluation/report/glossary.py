"""Explanations of the metrics for readers who do not know them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "target"]


@dataclass(frozen=True)
class Meaning:
    """One metric in words. `better` is the good direction; `target`: close to the nominal level."""

    label: str
    means: str
    better: Better
    question: str


_VIRAL = "Does it separate viral posts from the rest?"
_SCORE = "How close is the predicted score?"
_ORDER = "Does it sort the posts well?"
_RANGE = "Can its intervals be trusted?"

GLOSSARY: dict[str, Meaning] = {
    "roc_auc": Meaning(
        "ROC-AUC",
        "Probability that a viral post ranks above one that is not. 0.5 is guessing, 1 is perfect.",
        "higher",
        _VIRAL,
    ),
    "pr_auc": Meaning(
        "PR-AUC",
        "Average precision over all thresholds. Guessing gives the share of viral posts.",
        "higher",
        _VIRAL,
    ),
    "accuracy": Meaning(
        "Accuracy",
        "Share of posts classified correctly. If few posts are viral, calling none viral scores high too.",
        "higher",
        _VIRAL,
    ),
    "precision": Meaning("Precision", "Share of the posts called viral that are viral.", "higher", _VIRAL),
    "recall": Meaning("Recall", "Share of the viral posts that are called viral.", "higher", _VIRAL),
    "f1": Meaning("F1", "Harmonic mean of precision and recall.", "higher", _VIRAL),
    "brier": Meaning(
        "Brier score", "Mean squared error of the probability (1 for viral posts, 0 for others).", "lower", _VIRAL
    ),
    "ece": Meaning(
        "Calibration error",
        "Mean gap between predicted probability and observed frequency. At 0, three in ten posts with 30 % are viral.",
        "lower",
        _VIRAL,
    ),
    "mse": Meaning("MSE", "Mean squared error of the score.", "lower", _SCORE),
    "rmse": Meaning("RMSE", "Square root of the MSE: a typical error in the units of the score.", "lower", _SCORE),
    "mae": Meaning("MAE", "Mean absolute error, in the units of the score.", "lower", _SCORE),
    "mape": Meaning(
        "MAPE",
        "Mean error as a share of the score. Only for logarithmic scores without zeros.",
        "lower",
        _SCORE,
    ),
    "nmse": Meaning(
        "nMSE", "MSE over the variance of the score. Predicting the mean of the test posts gives 1.", "lower", _SCORE
    ),
    "r2": Meaning(
        "R²", "Share of the variance explained. 0 is no better than the mean, below 0 is worse.", "higher", _SCORE
    ),
    "spearman": Meaning(
        "Spearman", "Rank correlation: 1 is the same order, 0 no relation, -1 reversed.", "higher", _SCORE
    ),
    "pearson": Meaning("Pearson", "Linear correlation of predicted and actual score.", "higher", _SCORE),
    "kendall": Meaning(
        "Kendall", "Share of pairs in the right order minus share of pairs in the wrong order.", "higher", _SCORE
    ),
    "accuracy_at_75": Meaning(
        "Accuracy at the 75th percentile",
        "Share of posts whose score and predicted score lie on the same side of the training posts' 75th percentile. "
        "The baseline to beat is majority, which is always below: often about 0.75.",
        "higher",
        _SCORE,
    ),
    "ndcg_at_k": Meaning(
        "NDCG@K",
        "Quality of the first K posts of the ranking, earlier ranks counting more; 1 is the best order. "
        "A random order gives about half.",
        "higher",
        _ORDER,
    ),
    "recall_at_k": Meaning("Recall@K", "Share of the viral posts among the first K.", "higher", _ORDER),
    "pairwise_accuracy": Meaning(
        "Pairwise accuracy",
        "How often the better of two posts ranks higher. 0.5 is guessing.",
        "higher",
        _ORDER,
    ),
    "top20_precision": Meaning(
        "Top-20 % precision",
        "Share of the fifth ranked highest that is in the true top fifth. Guessing gives 0.2.",
        "higher",
        _ORDER,
    ),
    "top20_precision_within_author": Meaning(
        "Top-20 % precision within author",
        "The same within each author's posts (needs five authors with five test posts or more).",
        "higher",
        _ORDER,
    ),
    "coverage": Meaning("Coverage", "Share of posts whose score lies inside its interval.", "target", _RANGE),
    "width": Meaning(
        "Width",
        "Mean width of the intervals, in the units of the score. Narrow is good if the coverage is right.",
        "lower",
        _RANGE,
    ),
    "pinball": Meaning(
        "Pinball loss",
        "Quantile loss of both ends of the intervals: penalises intervals that are too wide or too narrow.",
        "lower",
        _RANGE,
    ),
}
