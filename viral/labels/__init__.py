"""Counts → targets, one definition a file.

`fit` learns what a definition needs (correlations, scalers, the threshold of the top fraction) from the training rows
alone; the `FittedLabel` that it returns labels any posts, and is stored with the model as plain JSON.

Both hold the numbers of their posts in memory (about 100 bytes a post). For more posts than that allows, fit on a
sample and apply part by part; for `over_author`, with all posts of an author in the same part.
"""

from viral.labels.fitting import FittedLabel, Labelled, fit
from viral.labels.rates import log_rates
from viral.labels.registry import DEFINITIONS
from viral.labels.spec import LabelSpec

__all__ = ["DEFINITIONS", "FittedLabel", "LabelSpec", "Labelled", "fit", "log_rates"]
