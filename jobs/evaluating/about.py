"""What a scorecard says of the model and of its posts."""

from __future__ import annotations

import pyarrow as pa

from viral.evaluation.report import report
from viral.evaluation.splits import author_codes, counts
from viral.registry.registry import Saved
from viral.scoring.scorer import Scorer
from viral.tables.schemas import SYNTHETIC
from viral.weights.resolve import RANDOM


def about_of(saved: Saved, scorer: Scorer, rows: pa.Table) -> report.About:
    """What is judged: the label, the inputs, the corpus and what else its reader must know."""
    card = saved.card
    spec, sets = card["label"]["spec"], scorer.feature_set
    random = tuple(each.name for each in sets.specs if each.params().get("weights") == RANDOM)
    return report.About(
        title=f"Scorecard of {saved}",
        model=str(saved),
        viral=f"the top {spec['top_fraction']:.0%} of the training posts by {spec['definition']}"
        + (f", within the same {' and '.join(spec['within'])}" if spec["within"] else ""),
        score=spec["definition"],
        feature_set=f"{sets.name}-{sets.fingerprint}",
        inputs=tuple(sets.dims),
        random_weights=random,
        corpus=f"{rows.num_rows} labelled posts with features, from {', '.join(card['sources'])}",
        synthetic=SYNTHETIC in card["sources"],
        data_hash=card["data_hash"],
        code_version=card["code_version"],
        limits=tuple(card["notes"]),
    )


def split_of(saved: Saved, rows: pa.Table) -> report.Split:
    """How the posts were divided."""
    spec, parts, viral = saved.card["label"]["split"], rows["split"].to_numpy(), rows["is_viral"].to_numpy(False)
    found = [
        report.Part(
            name=each.part,
            posts=each.posts,
            authors=each.authors,
            viral=float(viral[parts == each.part].mean()) if each.posts else None,
        )
        for each in counts(parts, author_codes(rows))
    ]
    return report.Split(kind=spec["kind"], gap_days=spec["gap_days"], seed=spec["seed"], parts=tuple(found))
