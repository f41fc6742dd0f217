"""`viral plan`; tests/bench/plan.py holds it to measured backfills."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from cluster.planning import Machine, Measured, Work, plan
from jobs.backfilling.summary import BackfillSummary
from tests.conftest import PROJECT, Viral
from viral.extractors.feature_set import FeatureSet
from viral.features.costs import StageCost, fit_costs
from viral.features.feature_table import features_table
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.run_log import record_run
from viral.tables.schemas import POSTS

SET = FeatureSet.from_dict({"name": "short", "extractors": ["metadata", "craft"]})
LONG = 60.0  # seconds of the longest video
COSTS = {"decode": StageCost(0.5, 0.1), "craft": StageCost(0.0, 0.2)}


@pytest.fixture
def measured_root(tmp_path: Path) -> Path:
    """A root with 40 measured posts, whose videos cost what `COSTS` says, and 1,000 more posts twice as long."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "set.yaml").write_text(json.dumps(SET.to_dict()))
    store, lengths = Store.open(root), np.linspace(1, LONG, 40)
    rows = [
        {
            "post_id": f"{number:04}",
            "attempt": 0,
            "status": "ok",
            "finished_at": datetime(2026, 1, 1, tzinfo=UTC),
            "stage_seconds": [(stage, float(cost.of(np.array(length)))) for stage, cost in COSTS.items()],
            "feature_set": SET.fingerprint,
            "code_version": "1",
            "seen_seconds": length,
        }
        for number, length in enumerate(lengths)
    ]
    table = features_table(store, SET)
    table.append(pa.Table.from_pylist(rows, schema=table.schema), 0)
    posts = [
        {"post_id": f"{number:04}", "source": "test", "duration_seconds": 2 * lengths[number % 40]}
        for number in range(1040)
    ]
    posts_table(store).append(pa.Table.from_pylist(posts, schema=POSTS), 0)
    work = sum(seconds for row in rows for _, seconds in row["stage_seconds"])
    # On four cores it took a fifth longer than its work.
    summary = BackfillSummary(
        SET.table, posts=40, cores=4, start_seconds=20, wall_seconds=20 + 1.2 * work / 4, stage_seconds={"all": work}
    )
    record_run(store, "backfill", lambda _: summary)
    return root


def planned(viral_here: Viral, root: Path, *options: str) -> dict[str, object]:
    done = viral_here("plan", "--root", root, "--feature-set", root.parent / "set.yaml", "--json", *options)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_costs_are_found_again() -> None:
    lengths = np.linspace(1, LONG, 40)
    assert fit_costs({name: cost.of(lengths) for name, cost in COSTS.items()}, lengths) == {
        name: StageCost(pytest.approx(cost.per_post, abs=1e-9), pytest.approx(cost.per_second))
        for name, cost in COSTS.items()
    }


def test_a_stage_that_costs_less_for_longer_videos_costs_the_same_for_all() -> None:
    assert fit_costs({"odd": np.array([3.0, 2.0, 1.0])}, np.array([1.0, 2.0, 3.0])) == {"odd": StageCost(2.0, 0.0)}


def test_work_grows_with_the_length_of_the_videos(viral_here: Viral, measured_root: Path) -> None:
    found = planned(viral_here, measured_root, "--cores", "10")
    seconds = float(COSTS["decode"].of(np.array(LONG + 1)) + COSTS["craft"].of(np.array(LONG + 1)))
    assert found["posts"] == 1000
    assert found["measured_posts"] == 40
    assert found["core_hours"] == pytest.approx(1.2 * 1000 * seconds / 3600)
    assert found["longest_post_seconds"] == pytest.approx(0.5 + 0.3 * 2 * LONG)
    assert found["bottleneck"] == "craft, 65% of the time"
    assert found["hours"] == pytest.approx((20 + 1.2 * 1000 * seconds / 10 + 0.5 + 0.6 * LONG) / 3600, rel=0.02)


def test_cores_follow_from_the_hours(viral_here: Viral, measured_root: Path, tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    machines = [
        {"name": "large", "cores": 16, "per_hour": [1.0, 2.0]},
        {"name": "small", "cores": 4, "per_hour": [0.2, 0.5]},
    ]
    prices.write_text(yaml.safe_dump(machines))
    found = planned(viral_here, measured_root, "--posts", "1000000", "--hours", "24", "--prices", str(prices))
    assert found["hours"] <= 24
    fewer = planned(viral_here, measured_root, "--posts", "1000000", "--cores", str(int(str(found["cores"])) - 1))
    assert fewer["hours"] > 24
    small, large = found["fleets"]
    assert (small["machine"], small["nodes"]) == ("small", -(-found["cores"] // 4))
    assert small["price_low"] < small["nodes"] * small["hours"] * 0.2 < small["nodes"] * small["hours"] * 0.5
    assert small["price_high"] > small["nodes"] * small["hours"] * 0.5
    assert large["nodes"] == -(-found["cores"] // 16)


def test_gpus_take_the_networks_and_cores_the_rest() -> None:
    lengths = np.full(50, 10.0)
    costs = {"decode": StageCost(1.0, 0.0), "network": StageCost(2.0, 0.0)}
    measured = Measured(costs, lengths, np.full(50, 3.0), 1.0, 0.0, with_gpus=True)
    machines = [Machine(name="gpu", cores=8, gpus=1, per_hour=(1, 2)), Machine(name="cpu", cores=8, per_hour=(1, 2))]
    found = plan(measured, 36_000, np.zeros(0), hours=5, cores=None, machines=machines)
    assert (found.core_hours, found.gpu_hours, found.gpus) == (10, 20, 4)
    assert [(fleet.machine, fleet.nodes) for fleet in found.fleets] == [("gpu", 4)]


def test_nothing_ends_before_its_longest_video() -> None:
    work = Work(100, 1000.0, 0.0, 10.0, 50.0)
    assert work.hours(10_000) * 3600 >= 60


def test_the_readme(viral_here: Viral, measured_root: Path, tmp_path: Path) -> None:
    section = (PROJECT / "cluster" / "README.md").read_text().partition("## Plan a backfill")[2].partition("## ")[0]
    (command,) = re.findall(r"^viral plan (.*)$", section, re.MULTILINE)
    (tmp_path / "prices.yaml").write_text(section.partition("```yaml\n")[2].partition("```")[0])
    line = command.replace("s3://bucket/tiktok", str(measured_root)).replace("prices.yaml", f"{tmp_path}/prices.yaml")
    done = viral_here("plan", *line.split(), "--feature-set", tmp_path / "set.yaml")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^fleets +\d+ x m7i.4xlarge, \d+(\.\d+)? h: [\d,.]+ to [\d,.]+$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "say either when it must end (--hours) or what it runs on (--cores)"),
        (("--hours", "1", "--cores", "2"), "say either when it must end (--hours) or what it runs on (--cores)"),
        (("--hours", "0.01"), "no number of machines ends within 0.01 h: start and longest post take 56 s"),
        (("--cores", "2", "--prices", "none.yaml"), "cannot read the prices none.yaml: "),
        (("--cores", "2", "--feature-set", "words"), "there is no table features/words-"),
    ],
)
def test_what_cannot_be_planned_is_one_line(
    viral_here: Viral, measured_root: Path, options: tuple[str, ...], message: str
) -> None:
    done = viral_here("plan", "--root", measured_root, "--feature-set", measured_root.parent / "set.yaml", *options)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("content", ["name: a", "- {name: a}", "- {name: a, cores: 2, per_hour: [1, 2], core: 3}", "["])
def test_prices_of_another_form_are_one_line(
    viral_here: Viral, measured_root: Path, tmp_path: Path, content: str
) -> None:
    (tmp_path / "prices.yaml").write_text(content)
    options = ("--feature-set", str(tmp_path / "set.yaml"), "--cores", "2", "--prices", str(tmp_path / "prices.yaml"))
    done = viral_here("plan", "--root", measured_root, *options)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "prices.yaml" in done.stderr
