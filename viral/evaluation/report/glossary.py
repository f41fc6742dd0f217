"""Explanations of the metrics for readers who do not know them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "target"]


@dataclass(frozen=True)
class MetricInfo:
    """One metric in words. `better` is its good direction; `target`: best near the nominal level."""

    label: str
    description: str
    better: Better
    question: str


_LOWER_IS_BETTER = {"brier", "ece", "mse", "rmse", "mae", "mape", "nmse", "width", "pinball"}

# Label and description of each metric, by the question that it answers.
_TEXTS = {
    "Does it separate viral posts from the rest?": {
        "roc_auc": ("ROC-AUC", "Probability that a viral post ranks above a non-viral one. Guessing gives 0.5."),
        "pr_auc": ("PR-AUC", "Average precision over all thresholds. Guessing gives the share of viral posts."),
        "accuracy": (
            "Accuracy",
            "Share of posts classified correctly. If few are viral, calling none viral scores well.",
        ),
        "precision": ("Precision", "Share of the posts called viral that are viral."),
        "recall": ("Recall", "Share of the viral posts that are called viral."),
        "f1": ("F1", "Harmonic mean of precision and recall."),
        "brier": ("Brier score", "Mean squared error of the probability (1 for viral posts, 0 for others)."),
        "ece": (
            "Calibration error",
            "Mean gap between predicted probability and observed frequency. "
            "At 0, three in ten posts with a probability of 30 % are viral.",
        ),
    },
    "How close is the predicted score?": {
        "mse": ("MSE", "Mean squared error of the score."),
        "rmse": ("RMSE", "Square root of the MSE: a typical error in the units of the score."),
        "mae": ("MAE", "Mean absolute error, in the units of the score."),
        "mape": ("MAPE", "Mean error as a share of the score. Only for logarithmic scores without zeros."),
        "nmse": ("nMSE", "MSE over the variance of the score. Predicting the mean of the test posts gives 1."),
        "r2": ("R²", "Share of the variance explained. 0 is no better than the mean, below 0 is worse."),
        "spearman": ("Spearman", "Rank correlation: 1 is the same order, 0 no relation, -1 the reverse order."),
        "pearson": ("Pearson", "Linear correlation of predicted and actual score."),
        "kendall": ("Kendall", "Share of pairs in the right order minus share of pairs in the wrong order."),
        "accuracy_at_75": (
            "Accuracy at the 75th percentile",
            "Share of posts whose actual and predicted score are on the same side of the training posts' 75th "
            "percentile. The baseline to beat is majority, which always predicts below: often about 0.75.",
        ),
    },
    "Does it sort the posts well?": {
        "ndcg_at_k": (
            "NDCG@K",
            "Quality of the first K posts of the ranking, with more weight on earlier ranks. "
            "The best order gives 1, a random order about half.",
        ),
        "recall_at_k": ("Recall@K", "Share of the viral posts among the first K."),
        "pairwise_accuracy": (
            "Pairwise accuracy",
            "How often the better of two posts ranks higher. Guessing gives 0.5.",
        ),
        "top20_precision": (
            "Top-20 % precision",
            "Share of the fifth ranked highest that is in the true top fifth. Guessing gives 0.2.",
        ),
        "top20_precision_within_author": (
            "Top-20 % precision within author",
            "Top-20 % precision within each author's posts (needs five authors with at least five test posts each).",
        ),
    },
    "Can its intervals be trusted?": {
        "coverage": ("Coverage", "Share of posts whose score lies inside its interval."),
        "width": ("Width", "Mean width of the intervals, in score units. Narrow is good if the coverage is right."),
        "pinball": ("Pinball loss", "Quantile loss of both interval ends: penalises intervals too wide or too narrow."),
    },
}

GLOSSARY: dict[str, MetricInfo] = {
    name: MetricInfo(
        label, text, "target" if name == "coverage" else "lower" if name in _LOWER_IS_BETTER else "higher", question
    )
    for question, texts in _TEXTS.items()
    for name, (label, text) in texts.items()
}
