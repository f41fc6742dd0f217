"""Labels: posts' counts → training targets, one definition per file.

`fit` fits a definition (correlations, scalers, the threshold of the top fraction) on the training rows alone. The
`FittedLabel` that it returns labels any posts and is stored with the model as plain JSON.

Both keep the numeric columns of their posts in memory (about 100 bytes per post). For more posts than fit, fit on a
sample and apply in parts; for `over_author`, each part must contain all posts of its authors.
"""

from viral.labels.fitting import AppliedLabel, FittedLabel, fit
from viral.labels.rates import log_rates
from viral.labels.registry import DEFINITIONS
from viral.labels.spec import LabelSpec

__all__ = ["DEFINITIONS", "AppliedLabel", "FittedLabel", "LabelSpec", "fit", "log_rates"]
