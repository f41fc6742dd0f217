"""The leakage audit: does a model have access to what it will be evaluated on?

`audit` checks the evidence gathered about a model and its posts and returns findings; `raise_on_leaks` ends a run over
them. It cannot see everything: a video that was cut shorter passes for another one, and what trees and networks have
learnt cannot be read back from their weights, only the statistics and the posts that they store.
"""

from viral.evaluation.audit.evidence import AuditSample, Evidence
from viral.evaluation.audit.finding import Finding, raise_on_leaks
from viral.evaluation.audit.fitted_state import FittedState, fitted_states
from viral.evaluation.audit.refitting import LabelFit
from viral.evaluation.audit.run import CHECKS, audit

__all__ = [
    "CHECKS",
    "AuditSample",
    "Evidence",
    "Finding",
    "FittedState",
    "LabelFit",
    "audit",
    "fitted_states",
    "raise_on_leaks",
]
