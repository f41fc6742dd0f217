"""Run all checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from viral.evaluation.audit import equal_inputs, fitted, inputs, split_overlap
from viral.evaluation.audit.evidence import Evidence
from viral.evaluation.audit.finding import Finding

_COUNT_CHECKS: Mapping[str, Callable[[Evidence], list[Finding]]] = {
    inputs.NAMED: inputs.named_counts,
    inputs.VALUES: inputs.count_values,
}
CHECKS: Mapping[str, Callable[[Evidence], list[Finding]]] = {
    **_COUNT_CHECKS,
    inputs.AUTHOR: inputs.author_statistics,
    inputs.BEFORE: inputs.sound_history,
    split_overlap.AUTHORS: split_overlap.authors,
    split_overlap.TIME: split_overlap.time_order,
    split_overlap.VIDEOS: split_overlap.videos,
    equal_inputs.INPUTS: equal_inputs.shared_inputs,
    split_overlap.SOUNDS: split_overlap.sounds,
    split_overlap.CONTINUED: split_overlap.continued_from_test_posts,
    fitted.SCALERS: fitted.scalers,
    fitted.TARGET: fitted.target_scale,
    fitted.CONSTANTS: fitted.label_constants,
    fitted.MEMBERS: fitted.neighbour_posts,
    fitted.REFERENCE: fitted.reference_posts,
    fitted.FUTURE: fitted.future_neighbours,
}
"""Checks by name; each takes the evidence and returns its findings."""


def audit(evidence: Evidence, *, early_signal: bool = False) -> tuple[Finding, ...]:
    """Return all leaks.

    Args:
        evidence: of the model and its posts.
        early_signal: allow counts among the inputs, for a model that uses the counts of a post's first hours.
    """
    # Such a model is meant to have counts among its inputs; all other checks still hold.
    skipped = _COUNT_CHECKS if early_signal else {}
    return tuple(finding for name, check in CHECKS.items() if name not in skipped for finding in check(evidence))
