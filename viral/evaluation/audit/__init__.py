"""The leakage audit: does a model know what it is to be judged by?

`audit` looks at what was gathered of a model and its posts, and says what it finds; `refuse` ends a run over it. It
cannot see everything: a video that was encoded anew has another hash, and what trees and networks have learnt cannot be
read back from them, only the statistics and the posts that they keep.
"""

from viral.evaluation.audit.evidence import SIDES, Evidence, Sample
from viral.evaluation.audit.finding import Finding, refuse
from viral.evaluation.audit.learnt import Learnt, learnt_of
from viral.evaluation.audit.refitting import LabelFit, needs_posts, refitted
from viral.evaluation.audit.run import CHECKS, audit

__all__ = [
    "CHECKS",
    "SIDES",
    "Evidence",
    "Finding",
    "LabelFit",
    "Learnt",
    "Sample",
    "audit",
    "learnt_of",
    "needs_posts",
    "refitted",
    "refuse",
]
