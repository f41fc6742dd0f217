"""Points of the plots in a report."""

from __future__ import annotations

import numpy as np

from viral.evaluation.bootstrap.metrics import Bools, Floats
from viral.evaluation.report import report

_CURVE_POINTS = 200  # a plot is a few hundred pixels wide: more points only lengthen the page
_SCATTER_POINTS = 800  # more dots overlap, and each is an element of the page


def plots(y: Floats, viral: Bools, score: Floats, probability: Floats, threshold: float, seed: int) -> report.Plots:
    """Compute the points of every plot of one model.

    Args:
        y: actual score of each post, (rows,).
        viral: whether each post is viral, (rows,).
        score: predicted score, (rows,).
        probability: predicted probability of viral, (rows,).
        threshold: lowest probability at which a post is called viral.
        seed: seed of the sample of posts in the scatter plot.
    """
    from sklearn import metrics as sk

    roc = precision_recall = None
    # With one class, neither curve is defined.
    if viral.any() and not viral.all():
        false_positive, true_positive, _ = sk.roc_curve(viral, probability)
        precision, recall, _ = sk.precision_recall_curve(viral, probability)
        roc, precision_recall = _curve(false_positive, true_positive), _curve(recall[::-1], precision[::-1])
    (tn, fp), (fn, tp) = sk.confusion_matrix(viral, probability >= threshold, labels=[False, True]).tolist()
    sample = np.sort(np.random.default_rng(seed).permutation(len(y))[:_SCATTER_POINTS])
    return report.Plots(
        roc=roc,
        precision_recall=precision_recall,
        reliability=_reliability(viral, probability),
        confusion=report.Confusion(true_positive=tp, false_positive=fp, false_negative=fn, true_negative=tn),
        scatter=report.Curve(x=tuple(score[sample].tolist()), y=tuple(y[sample].tolist())),
    )


def _curve(x: Floats, y: Floats) -> report.Curve:
    # Evenly spaced points of the curve, with both ends.
    index = np.unique(np.linspace(0, len(x) - 1, min(len(x), _CURVE_POINTS)).round().astype(int))
    return report.Curve(x=tuple(x[index].tolist()), y=tuple(y[index].tolist()))


def _reliability(viral: Bools, probability: Floats) -> tuple[report.Bin, ...]:
    """At most ten bins of equal width."""
    # Probability 1 belongs to the last bin.
    bins = np.minimum((probability * 10).astype(int), 9)
    return tuple(
        report.Bin(
            predicted=float(probability[bins == i].mean()),
            observed=float(viral[bins == i].mean()),
            posts=int((bins == i).sum()),
        )
        for i in np.unique(bins)
    )
