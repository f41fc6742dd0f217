"""Facts about the model and its posts for a scorecard."""

from __future__ import annotations

import pyarrow as pa

from viral.evaluation.report import report
from viral.evaluation.splits import author_codes, counts
from viral.registry.registry import ModelVersion
from viral.scoring.scorer import Scorer
from viral.tables.schemas import SYNTHETIC
from viral.weights.resolve import RANDOM


def build_about(saved: ModelVersion, scorer: Scorer, rows: pa.Table) -> report.About:
    """Describe what is evaluated: label, inputs, corpus, and caveats for the reader."""
    card = saved.card
    label, feature_set = card["label"]["spec"], scorer.feature_set
    # Vectors from random weights mean nothing, which the page must say beside every figure.
    random = tuple(spec.name for spec in feature_set.specs if spec.params().get("weights") == RANDOM)
    return report.About(
        title=f"Scorecard of {saved}",
        model=str(saved),
        viral=f"the top {label['top_fraction']:.0%} of the training posts by {label['definition']}"
        + (f", within the same {' and '.join(label['within'])}" if label["within"] else ""),
        score=label["definition"],
        feature_set=f"{feature_set.name}-{feature_set.fingerprint}",
        inputs=tuple(feature_set.dims),
        random_weights=random,
        corpus=f"{rows.num_rows} labelled posts with features, from {', '.join(card['sources'])}",
        synthetic=SYNTHETIC in card["sources"],
        data_hash=card["data_hash"],
        code_version=card["code_version"],
        limits=tuple(card["notes"]),
    )


def build_split(saved: ModelVersion, rows: pa.Table) -> report.Split:
    """Describe how the posts were split."""
    spec, splits, viral = saved.card["label"]["split"], rows["split"].to_numpy(), rows["is_viral"].to_numpy(False)
    parts = [
        report.SplitPart(
            name=count.part,
            posts=count.posts,
            authors=count.authors,
            # The mean of an empty part would be NaN, which JSON cannot hold.
            viral=float(viral[splits == count.part].mean()) if count.posts else None,
        )
        for count in counts(splits, author_codes(rows))
    ]
    return report.Split(kind=spec["kind"], gap_days=spec["gap_days"], seed=spec["seed"], parts=tuple(parts))
