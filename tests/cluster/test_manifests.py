"""Manifests of KubeRay against the schemas of Kubernetes and of KubeRay; the image against the linter of its file."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner

import viral
from cluster.serve import command as serve_command
from tests.conftest import PROJECT
from viral.config import BackfillSettings, ServeSettings

KUBERAY = PROJECT / "cluster" / "kuberay"
KUBERNETES = "1.34"  # the newest that the validator knows and clouds offer
OVERLAYS = ("small", "large")
Manifest = dict[str, Any]


def load_all(path: Path) -> list[Manifest]:
    # The C loader: the definitions have 2 MB, of which the one in Python reads 100 kB a second.
    loaded = yaml.load_all(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return [manifest for manifest in loaded if manifest]


@cache
def rendered(overlay: str) -> str:
    """An overlay as Kustomize makes it, which is no Python package: its resources, patches and replacements alone."""
    folder = KUBERAY / overlay
    (overlaid,) = load_all(folder / "kustomization.yaml")
    assert overlaid.keys() == {"apiVersion", "kind", "resources", "components"}
    (base,) = load_all(KUBERAY / "base" / "kustomization.yaml")
    manifests = [each for name in base["resources"] for each in load_all(KUBERAY / "base" / name)]
    for name in overlaid["components"]:
        (component,) = load_all((folder / name).resolve() / "kustomization.yaml")
        assert component.keys() <= {"apiVersion", "kind", "patches", "replacements"}
        for patch in component.get("patches", []):
            for manifest in selected(manifests, patch["target"]):
                for operation in yaml.safe_load(patch["patch"]):
                    apply(manifest, operation["op"], operation["path"].strip("/").split("/"), operation.get("value"))
        for replacement in component.get("replacements", []):
            (source,) = selected(manifests, replacement["source"])
            for part in replacement["source"]["fieldPath"].split("."):
                source = source[part]
            for target in replacement["targets"]:
                for manifest in selected(manifests, target["select"]):
                    (path,) = target["fieldPaths"]
                    apply(manifest, "add", path.split("."), copy.deepcopy(source))
    for manifest in manifests:
        manifest["metadata"]["namespace"] = base["namespace"]
    return json.dumps(manifests)


def selected(manifests: list[Manifest], target: Manifest) -> list[Manifest]:
    found = [
        manifest
        for manifest in manifests
        if manifest["kind"] == target["kind"] and target.get("name") in (None, manifest["metadata"]["name"])
    ]
    assert found, target
    return found


def apply(place: Any, operation: str, path: list[str], value: Any) -> None:
    *above, last = path
    for part in above:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    key = int(last) if isinstance(place, list) else last
    if operation != "add":
        place[key]  # what is replaced or removed is there
    if operation == "remove":
        del place[key]
    else:
        place[key] = value


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    found: list[Manifest] = json.loads(rendered(request.param))
    return found


@pytest.fixture(scope="module")
def schemas(shared_data: Path) -> dict[str, Any]:
    """KubeRay's own definitions, which lie beside the real data; unknown fields are refused."""
    found = {}
    for path in (shared_data.parent / "kuberay").glob("ray.io_*.yaml"):
        (definition,) = load_all(path)
        (version,) = (each for each in definition["spec"]["versions"] if each["name"] == "v1")
        found[definition["spec"]["names"]["kind"]] = closed(version["schema"]["openAPIV3Schema"])
    return found


def closed(schema: Any) -> Any:
    """The schema with every object closed, and with whole numbers for strings where Kubernetes takes both."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        result.setdefault("additionalProperties", False)
        # `metadata` is an object without properties: Kubernetes knows it.
    return result


def check(manifest: Manifest, schemas: dict[str, Any]) -> None:
    """Refuse a manifest of KubeRay that its definition does not allow."""
    top = {name: value for name, value in manifest.items() if name != "metadata"}
    # Without a check of the schema itself, which takes longer than all else.
    for error in jsonschema.Draft202012Validator(schemas[manifest["kind"]]).iter_errors(top):
        raise error


def pods(manifest: Any) -> Iterator[Manifest]:
    """The pod templates within a manifest."""
    if isinstance(manifest, dict):
        if "containers" in manifest.get("spec", {}):
            yield manifest
        for value in manifest.values():
            yield from pods(value)
    elif isinstance(manifest, list):
        for value in manifest:
            yield from pods(value)


def test_kuberay_takes_them(manifests: list[Manifest], schemas: dict[str, Any]) -> None:
    of_ray = [manifest for manifest in manifests if manifest["apiVersion"].startswith("ray.io/")]
    assert [each["kind"] for each in of_ray] == ["RayCluster", "RayJob", "RayJob", "RayCronJob", "RayService"]
    for manifest in of_ray:
        check(manifest, schemas)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("RayCluster", "spec/headGroupSpec/rayStartParam", {}),
        ("RayCluster", "spec/authOptions/mode", "password"),
        ("RayCluster", "spec/workerGroupSpecs/0/maxReplicas", "ten"),
        ("RayCluster", "spec/workerGroupSpecs/0/template/spec/containers/0/resources/limits/cpu", "4 cores"),
        ("RayJob", "spec/backofLimit", 3),
        ("RayJob", "spec/activeDeadlineSeconds", "2d"),
        ("RayCronJob", "spec/jobTemplate/rayClusterSpec/workerGroupSpecs/0/template/spec/container", []),
        ("RayService", "spec/upgradeStrategy/clusterUpgradeOptions/stepSizePercent", 0.5),
    ],
)
def test_a_broken_copy_is_caught(schemas: dict[str, Any], kind: str, path: str, value: Any) -> None:
    manifest = selected(json.loads(rendered("large")), {"kind": kind})[0]
    apply(manifest, "add", path.split("/"), value)
    with pytest.raises(jsonschema.ValidationError):
        check(manifest, schemas)


def test_kubernetes_takes_the_rest_and_every_pod(manifests: list[Manifest]) -> None:
    plain = [manifest for manifest in manifests if not manifest["apiVersion"].startswith("ray.io/")]
    assert {each["kind"] for each in plain} == {"NetworkPolicy", "PodDisruptionBudget"}
    for pod in pods(manifests):
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        plain.append(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {**pod["metadata"], "name": "p"}, "spec": pod["spec"]}
        )
    assert len(plain) > 3
    for manifest in plain:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    broken = copy.deepcopy(plain[-1])
    broken["spec"]["containers"][0]["imagePulPolicy"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


def test_they_name_what_there_is(manifests: list[Manifest]) -> None:
    """Versions, settings, the endpoint's configuration, and no secret."""
    text = json.dumps(manifests)
    assert set(re.findall(r"viral:([\d.]+)-[cg]pu", text)) == {viral.__version__}
    assert set(re.findall(r'"rayVersion": "([^"]+)"', text)) == set(
        re.findall(r"ray\[.*?\]==([\d.]+)", (PROJECT / "pyproject.toml").read_text())
    )
    for name in re.findall(r"VIRAL_BACKFILL__(\w+):", text):
        assert name.lower() in BackfillSettings.model_fields
    (service,) = selected(manifests, {"kind": "RayService"})
    shown = yaml.safe_load(service["spec"]["serveConfigV2"])
    environment = {"VIRAL_SERVE__KEYS_FILE": "/etc/viral/keys.json", "VIRAL_SERVE__HOST": "0.0.0.0"}
    arguments = ["config", "--model", "fusion@champion", "--root", "s3://bucket/tiktok"]
    assert shown == yaml.safe_load(CliRunner().invoke(serve_command, arguments, env=environment).output)
    assert service["spec"]["rayClusterDeletionDelaySeconds"] > ServeSettings().request_seconds
    jobs = [each for each in manifests if each["kind"] == "RayJob"]
    assert all("gcsFaultToleranceOptions" not in job["spec"]["rayClusterSpec"] for job in jobs)
    assert not re.search(r"(?i)(password|token|secret_access_key)\": \"[^\"]", text.replace('"mode": "token"', ""))


def test_the_image_is_well_written() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [linter, "--no-color", PROJECT / "cluster" / "images" / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
