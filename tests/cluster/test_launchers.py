"""The files for `ray up` and Slurm, by Ray's own schema and by the shell."""

from __future__ import annotations

import copy
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.local.hosts import HostNetwork
from tests.conftest import PROJECT

WITHIN = 200.0
AWS, SLURM = PROJECT / "cluster" / "aws", PROJECT / "cluster" / "slurm" / "backfill.sbatch"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    import ray.autoscaler

    return dict(json.loads(Path(ray.autoscaler.__file__).with_name("ray-schema.json").read_text()))


@pytest.fixture
def config() -> dict[str, Any]:
    return dict(yaml.safe_load((AWS / "cluster.yaml").read_text()))


def test_ray_takes_the_file(schema: dict[str, Any], config: dict[str, Any]) -> None:
    import jsonschema

    jsonschema.validate(config, schema)
    assert config["head_node_type"] in config["available_node_types"]
    assert sum(kind.get("max_workers", 0) for kind in config["available_node_types"].values()) >= config["max_workers"]


@pytest.mark.parametrize(
    "broken",
    [
        {"max_worker": 3},
        {"available_node_types": {"decode": {"resources": {}}}},
        {"available_node_types": {"decode": {"resources": {"CPU": "two"}, "node_config": {}}}},
        {"provider": {"region": "us-east-1"}},
        {"docker": {"picture": "viral"}},
    ],
)
def test_broken_copies_are_refused(schema: dict[str, Any], config: dict[str, Any], broken: dict[str, Any]) -> None:
    import jsonschema

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**copy.deepcopy(config), **broken}, schema)


def test_the_token_stands_in_no_command(config: dict[str, Any]) -> None:
    commands = json.dumps([config["head_start_ray_commands"], config["worker_start_ray_commands"], config["docker"]])
    assert "RAY_AUTH_TOKEN=" not in commands
    assert "RAY_AUTH_MODE=token" in commands
    assert any(path.endswith("/.ray/auth_token") for path in config["file_mounts"])


def test_nodes_may_do_no_more_than_the_store_does() -> None:
    """To the objects of one prefix alone; the head starts machines, and ends only its own."""
    node, head = (json.loads((AWS / f"iam-{role}.json").read_text()) for role in ("node", "head"))
    assert {action for each in node["Statement"] for action in actions(each)} == {
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
        "s3:ListBucket",
    }
    assert all(each["Resource"].startswith("arn:aws:s3:::BUCKET") for each in node["Statement"])
    for each in head["Statement"]:
        looks = all(":Describe" in action for action in actions(each))
        assert looks or "Condition" in each or each["Resource"] != "*"
        assert not any("*" in action for action in actions(each))


def actions(statement: dict[str, Any]) -> list[str]:
    found = statement["Action"]
    return [found] if isinstance(found, str) else list(found)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="making hosts takes root")
def test_slurm_runs_a_backfill_on_its_nodes(tmp_path: Path) -> None:
    """On a host of its own, where Slurm's two programs do what they do on one node; Ray and the backfill are real."""
    (tmp_path / "root").mkdir()
    (tmp_path / "token").write_text("0" * 64)
    (tmp_path / "bin").mkdir()
    for name, script in {"srun": 'exec "$@"', "scontrol": "echo 10.77.0.1"}.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    path = os.pathsep.join([str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"PATH": path, "SLURM_JOB_NODELIST": "node", "SLURM_JOB_NUM_NODES": "1"}
    environment |= {"VIRAL_ROOT": str(tmp_path / "root"), "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}
    with tempfile.TemporaryDirectory(prefix="vs-") as folder, (tmp_path / "log").open("wb") as log:
        network = HostNetwork(f"s{os.getpid()}", Path(folder), "10.77.0")
        try:
            network.create()
            process = network.host(1).start("bash", str(SLURM), "--json", env=environment, output=log)
            assert process.wait(WITHIN) != 0
        finally:
            network.remove()
    assert "is empty: ingest some first (viral ingest)" in (tmp_path / "log").read_text()
