"""What each figure means, for a reader who has never seen it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "target"]


@dataclass(frozen=True)
class Meaning:
    """One figure in words. `better` says which direction is good; `target`: near the stated level."""

    label: str
    means: str
    better: Better
    question: str


_VIRAL = "Does it tell viral posts from the rest?"
_SCORE = "How close is the predicted score?"
_ORDER = "Does it sort the posts well?"
_RANGE = "Can its intervals be trusted?"

GLOSSARY: dict[str, Meaning] = {
    "roc_auc": Meaning(
        "ROC-AUC",
        "Chance that a viral post gets a higher probability than one that is not. 0.5 is guessing, 1 is perfect.",
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
        "Share of posts called rightly. Where few are viral, calling none viral scores high too.",
        "higher",
        _VIRAL,
    ),
    "precision": Meaning("Precision", "Of the posts called viral, the share that is.", "higher", _VIRAL),
    "recall": Meaning("Recall", "Of the viral posts, the share that is called so.", "higher", _VIRAL),
    "f1": Meaning("F1", "Harmonic mean of precision and recall.", "higher", _VIRAL),
    "brier": Meaning("Brier score", "Mean squared distance of the probability from 0 or 1.", "lower", _VIRAL),
    "ece": Meaning(
        "Calibration error",
        "How far the stated probabilities lie from how often it really happens. At 0, 30 % means 30 %.",
        "lower",
        _VIRAL,
    ),
    "mse": Meaning("MSE", "Mean squared error of the score.", "lower", _SCORE),
    "rmse": Meaning("RMSE", "Root of the MSE: a typical error in the units of the score.", "lower", _SCORE),
    "mae": Meaning("MAE", "Mean absolute error, in the units of the score.", "lower", _SCORE),
    "mape": Meaning(
        "MAPE",
        "Mean error as a share of the score. Only for scores that are logarithms, and none of them 0.",
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
        "Spearman", "Correlation of the ranks: 1 is the same order, 0 none, -1 reversed.", "higher", _SCORE
    ),
    "pearson": Meaning("Pearson", "Correlation of the values: how well a straight line fits.", "higher", _SCORE),
    "kendall": Meaning(
        "Kendall", "Pairs in the right order less pairs in the wrong one, as a share.", "higher", _SCORE
    ),
    "accuracy_at_75": Meaning(
        "Accuracy at the 75th percentile",
        "Share of posts whose score and predicted score lie on the same side of the training posts' 75th percentile. "
        "The baseline majority, which is always below, is what to beat: often about 0.75.",
        "higher",
        _SCORE,
    ),
    "ndcg_at_k": Meaning(
        "NDCG@K",
        "How good the first K posts of the sorted list are, the first counting most; 1 is the best order. "
        "A blind order already gives about half.",
        "higher",
        _ORDER,
    ),
    "recall_at_k": Meaning("Recall@K", "Share of the viral posts that are among the first K.", "higher", _ORDER),
    "pairwise_accuracy": Meaning(
        "Pairwise accuracy",
        "Of two posts, how often the better one is ranked higher. 0.5 is guessing.",
        "higher",
        _ORDER,
    ),
    "top20_precision": Meaning(
        "Top-20 % precision",
        "Of the fifth ranked highest, the share that is in the true top fifth. Guessing gives 0.2.",
        "higher",
        _ORDER,
    ),
    "top20_precision_within_author": Meaning(
        "Top-20 % precision within author",
        "The same among each author's own posts (needs five authors with five posts or more in the test).",
        "higher",
        _ORDER,
    ),
    "coverage": Meaning("Coverage", "Share of posts whose score lies inside its interval.", "target", _RANGE),
    "width": Meaning(
        "Width",
        "Mean width of the intervals, in the units of the score. Narrow is good if the coverage holds.",
        "lower",
        _RANGE,
    ),
    "pinball": Meaning(
        "Pinball loss", "Penalty for the ends of the intervals: too wide and too narrow both cost.", "lower", _RANGE
    ),
}
