from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import viral.evaluation

_HEAVY = ("torch", "sklearn", "scipy", "lightgbm", "matplotlib", "pandas", "jinja2", "ray")


def python(code: str, home: Path) -> str:
    env = {k: v for k, v in os.environ.items() if k not in ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    env |= {"HOME": str(home), "TMPDIR": str(home / "tmp")}
    (home / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_brings_nothing_heavy(tmp_path: Path) -> None:
    package = Path(viral.evaluation.__file__).parent
    files = (path.relative_to(package).with_suffix("") for path in package.rglob("*.py") if path.stem != "__init__")
    imports = "".join(f"import viral.evaluation.{'.'.join(path.parts)}\n" for path in files)
    found = python(f"import sys\n{imports}print([m for m in {_HEAVY} if m in sys.modules])", tmp_path)
    assert found.strip() == "[]"


def test_plots_and_metrics_leave_no_file_behind(tmp_path: Path) -> None:
    code = """
from viral.evaluation.bootstrap import metrics
from viral.evaluation.report import plots
from viral.evaluation.report.report import Curve
metrics.classification([True, False], [0.2, 0.8])
plots.roc(Curve(x=(0, 1), y=(0, 1)))
import os
assert "MPLCONFIGDIR" not in os.environ
"""
    python(code, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
