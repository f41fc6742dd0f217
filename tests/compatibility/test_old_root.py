"""A root that version 0.1.0 made before the modules moved (commit 06926df, by `make_root.py`) is read as ever."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import score
from viral.storage.store import Store

ARCHIVE = Path(__file__).with_name("root.tar.xz")
MODELS = ("demo", "attention", "weighted", "concat", "craft", "text", "ensemble", "stacked")
RANK = 100 / 36 + 1e-6  # percent; the last bit of a probability decides before which of 36 or more posts it stands
FRACTION = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")


@pytest.fixture(scope="module")
def old_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as file:
        file.extractall(folder, filter="data")
    return folder / "root"


def predictions(root: Path, model: str) -> pa.Table:
    """The predictions of a model's first version, by post, straight from the files."""
    files = sorted((root / "predictions" / f"{model}-1").rglob("*.parquet"))
    return pa.concat_tables([pq.read_table(file) for file in files]).sort_by("post_id")


def test_each_model_scores_its_old_features_as_before(old_root: Path) -> None:
    """To the last bit on the processor that made the root; others sum in another order."""
    before = {model: predictions(old_root, model) for model in MODELS}
    store = Store.open(old_root)
    for model, rows in before.items():
        store.delete_below(f"predictions/{model}-1")
        assert score.run(store, model).scored == rows.num_rows
        after = predictions(old_root, model).select(rows.column_names)
        ranks, old_ranks = (table["percentile"].to_pylist() for table in (after, rows))
        assert ranks == pytest.approx(old_ranks, abs=RANK)
        (text, numbers), (old_text, old_numbers) = (
            by_modality_name(table.drop_columns(["percentile"])) for table in (after, rows)
        )
        assert text == old_text
        assert numbers == pytest.approx(old_numbers, rel=1e-6, abs=1e-5)


def by_modality_name(rows: pa.Table) -> tuple[str, list[float]]:
    """The rows without their fractions, and these; the modality that is "editing" now was "craft"."""
    renamed = json.loads(json.dumps(rows.to_pylist()).replace('"craft"', '"editing"'))
    text = json.dumps([row | {"shares": sorted(row["shares"])} for row in renamed])
    return FRACTION.sub("#", text), [float(number) for number in FRACTION.findall(text)]
