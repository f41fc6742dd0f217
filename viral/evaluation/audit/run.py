"""Every check, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from viral.evaluation.audit import fitted, inputs, split_overlap
from viral.evaluation.audit.evidence import Evidence
from viral.evaluation.audit.finding import Finding

_EARLY_SIGNAL_MAY: Mapping[str, Callable[[Evidence], list[Finding]]] = {
    inputs.NAMED: inputs.named_counts,
    inputs.VALUES: inputs.valued_counts,
}
CHECKS: Mapping[str, Callable[[Evidence], list[Finding]]] = {
    **_EARLY_SIGNAL_MAY,
    inputs.AUTHOR: inputs.author_statistics,
    inputs.BEFORE: inputs.sound_history,
    split_overlap.AUTHORS: split_overlap.authors,
    split_overlap.TIME: split_overlap.time_order,
    split_overlap.VIDEOS: split_overlap.videos,
    split_overlap.SOUNDS: split_overlap.sounds,
    split_overlap.KNOWN: split_overlap.known_before,
    fitted.SCALERS: fitted.scalers,
    fitted.TARGET: fitted.target_scale,
    fitted.CONSTANTS: fitted.label_constants,
    fitted.MEMBERS: fitted.neighbour_posts,
    fitted.REFERENCE: fitted.reference_posts,
    fitted.FUTURE: fitted.future_neighbours,
}
"""By name, each from the evidence to what it finds."""


def audit(evidence: Evidence, *, early_signal: bool = False) -> tuple[Finding, ...]:
    """What leaks.

    Args:
        evidence: of the model and its posts.
        early_signal: the model is meant to look at counts of the first hours, and its name says so.
    """
    left_out = _EARLY_SIGNAL_MAY if early_signal else {}
    return tuple(finding for name, check in CHECKS.items() if name not in left_out for finding in check(evidence))
