from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.weights.hub import COMMIT, serving
from tests.weights.tiny import Tiny
from viral.errors import WeightsError
from viral.extractors.feature_set import ExtractorEntry, FeatureSet
from viral.storage.store import Store
from viral.weights.catalogue import CATALOGUE
from viral.weights.command import command, fetch, put
from viral.weights.manifest import MANIFEST
from viral.weights.resolve import find_weights, read_state_dict
from viral.weights.root import RootWeights


def output(*arguments: object) -> str:
    """Run `viral weights` and return its output; exceptions pass through."""
    result = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def row_of(name: str, *arguments: object) -> dict:
    rows = map(json.loads, output("list", "--json", *arguments).splitlines())
    return next(row for row in rows if row["name"] == name)


def files_below(folder: Path) -> set[str]:
    """All files below a folder except locks."""
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"}


def test_a_file_is_fetched_once_into_the_root(single, any_root, tmp_path):
    with serving(single.files) as (address, requests):
        url = f"{address}/{single.weights.file}"
        for _ in range(2):
            assert any_root in output("fetch", single.name, "--root", any_root, "--from", url)
        assert len(requests) == 1
    written = json.loads(Store(any_root).read(f"weights/{single.name}/{MANIFEST}"))
    assert written["source"] == url and written["licence"] == "MIT"
    assert written["files"][single.weights.file]["size"] == len(single.files[single.weights.file])
    row = row_of(single.name, "--root", any_root)
    assert row["places"] == {"root": "there", "machine": "absent"}
    assert row["sha256"] == written["files"][single.weights.file]["sha256"]
    assert row["trust"] == "published"
    path = find_weights(single.name, RootWeights(Store(any_root)))
    assert read_state_dict(path)["weight"].shape == (20_000,)
    assert files_below(tmp_path / "machine") <= {
        f"{single.name}@{row['sha256'][:16]}/{f}" for f in (path.name, MANIFEST)
    }


def test_without_a_root_a_file_is_kept_on_this_machine(single, tmp_path):
    with serving(single.files) as (address, _):
        output("fetch", single.name, "--from", f"{address}/{single.weights.file}")
    assert files_below(tmp_path / "machine") == {f"{single.name}/{file}" for file in (single.weights.file, MANIFEST)}
    assert row_of(single.name)["places"] == {"machine": "there"}
    assert find_weights(single.name).read_bytes() == single.files[single.weights.file]


@pytest.mark.parametrize("wrong", ["bytes", "status", "nothing"])
def test_what_is_not_what_was_published_is_one_line_and_leaves_nothing(wrong, single, any_root, tmp_path):
    with serving({"w.safetensors": b"something else"}) as (address, _):
        url = {"bytes": f"{address}/w.safetensors", "status": f"{address}/x", "nothing": "http://127.0.0.1:1/x"}[wrong]
        for store in (Store(any_root), None):
            with pytest.raises(WeightsError) as raised:
                fetch(single.weights, store, url)
            assert "\n" not in str(raised.value)
            assert ("differs from the published" if wrong == "bytes" else "viral weights put tiny-file") in str(
                raised.value
            )
    assert files_below(tmp_path / "machine") == set()
    assert list(Store(any_root).objects("")) == []


@pytest.mark.parametrize("to_root", [True, False])
def test_a_folder_is_put_and_checked_ever_after(to_root, several, any_root, tmp_path):
    option = ("--root", any_root) if to_root else ()
    resolve = RootWeights(Store(any_root))
    for _ in range(2):
        output("put", several.name, several.folder, *option)
    row = row_of(several.name, "--root", any_root)
    assert row["trust"] == "first use" and set(row["files"]) == set(several.files)
    assert (
        row["places"] == {"root": "there", "machine": "absent"} if to_root else {"root": "absent", "machine": "there"}
    )
    folder = find_weights(several.name, resolve)
    assert {file: (folder / file).read_bytes() for file in several.files} == several.files
    several.change("parts/model.safetensors")
    with pytest.raises(WeightsError, match=r"holds a different tiny-model .* delete it first"):
        put(several.weights, several.folder, Store(any_root) if to_root else None)
    (folder / "config.json").write_text("[]")
    with pytest.raises(WeightsError, match=r"config.json has changed since it was fetched: delete .*(machine|root)"):
        find_weights(several.name, resolve)


def test_what_is_put_must_be_what_is_needed(single, several, tmp_path, any_root):
    store = Store(any_root)
    (several.folder / "config.json").unlink()
    for weights, path, wrong in (
        (several.weights, several.folder, "lacks config.json, which tiny-model needs"),
        (several.weights, several.folder / "parts/model.safetensors", "give a folder that holds config.json, parts"),
        (single.weights, tmp_path / "nowhere", f"give the file or a folder that holds {single.weights.file}"),
        (
            single.weights,
            several.folder / "parts/model.safetensors",
            "differs from the published tiny-file: its SHA-256",
        ),
    ):
        with pytest.raises(WeightsError, match=wrong):
            put(weights, path, store)
    assert list(store.objects("")) == []
    assert single.name in output("put", single.name, single.folder / single.weights.file, "--root", any_root)


def test_unknown_names_are_refused(tmp_path):
    for arguments in (("fetch", "resnet51"), ("put", "resnet51", tmp_path)):
        with pytest.raises(WeightsError, match="there are no weights 'resnet51': choose from resnet50-imagenet, "):
            output(*arguments)


def test_a_licence_without_commercial_use_is_told_and_has_to_be_accepted(several, tmp_path):
    assert "CC-BY-NC-4.0 (no commercial use)" in output("list")
    with pytest.raises(
        WeightsError, match=r"licence of tiny-model, CC-BY-NC-4.0, forbids commercial use .*--accept-licence"
    ):
        output("fetch", several.name)
    assert files_below(tmp_path) == {f"brought-model/{file}" for file in several.files}


def test_the_list_for_people_says_what_is_known_of_real_weights():
    text = output("list")
    assert re.search("resnet50-imagenet +103 MB +BSD-3-Clause +0676ba61b679 +-\n", text)
    assert "ImageNet, may apply to the weights" in text


def test_damaged_weights_are_named_in_the_list(several, any_root, tmp_path):
    store = Store(any_root)
    put(several.weights, several.folder, store)
    put(several.weights, several.folder)
    store.delete([f"weights/{several.name}/config.json"])
    (tmp_path / "machine" / several.name / "config.json").write_text("half")
    row = row_of(several.name, "--root", any_root)
    assert row["places"]["root"].endswith("config.json is missing")
    assert "has changed since" in row["places"]["machine"]
    put(several.weights, tmp_path / "brought-model", store)
    assert row_of(several.name, "--root", any_root)["places"]["root"] == "there"


def test_a_table_that_names_whole_hashes_is_right_about_the_names():
    for weights in CATALOGUE.values():
        assert set(weights.published) == set(weights.files)
        assert all(len(digest) in (0, 8, 64) for digest in weights.published.values())
        assert weights.licence.name and weights.licence.url, weights.name
        if getattr(weights, "digest", ""):
            assert weights.published[weights.file].startswith(weights.digest)


START = """
import sys
from viral.weights.catalogue import CATALOGUE, HubModel
CATALOGUE["tiny-model"] = HubModel("tiny-model", "someone/tiny", ("config.json", "parts/model.safetensors"))
from cluster.cli import main
main()
"""


def started(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-c", START, "weights", *map(str, arguments)]
    env = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", **environment}
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def test_a_model_comes_from_the_hub_with_its_commit(several, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    with serving(several.files) as (address, requests):
        out, error = started("fetch", several.name, "--root", root, HF_ENDPOINT=address).communicate(timeout=60)
        assert str(root) in out, error
        assert f"GET /someone/tiny/resolve/{COMMIT}/parts/model.safetensors" in requests
    folder = root / "weights" / several.name
    assert files_below(folder) == {*several.files, MANIFEST}
    assert json.loads((folder / MANIFEST).read_text())["source"] == f"https://huggingface.co/someone/tiny/tree/{COMMIT}"
    assert files_below(tmp_path / "machine") == set()


def test_a_hub_that_sends_other_bytes_than_it_announces_is_not_believed(several, tmp_path):
    with serving(several.files, wrong_etag=True) as (address, _):
        process = started("fetch", several.name, HF_ENDPOINT=address)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "config.json of someone/tiny differs from what the hub announced" in error.splitlines()[-1]
    assert files_below(tmp_path / "machine") == set()


def test_a_kill_in_the_middle_leaves_nothing_half_written(single, website, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    process = started("fetch", "resnet50-imagenet", "--root", root, "--from", website("drip"))
    until = time.monotonic() + 60
    while not list(tmp_path.glob("machine/.*.part/*")) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert files_below(root) == set()
    assert files_below(tmp_path / "machine") != set(), "it was killed too early or too late"
    assert row_of("resnet50-imagenet", "--root", root)["places"] == {"root": "absent", "machine": "absent"}
    with pytest.raises(WeightsError, match="differs from the published"):
        fetch(CATALOGUE["resnet50-imagenet"], None, str(single.folder / single.weights.file))
    assert files_below(tmp_path / "machine") == set(), "the next fetch clears up"


def test_offline_means_offline(single, several, tmp_path, monkeypatch):
    opened: list[object] = []

    def refuse(*address: object) -> None:
        opened.append(address)
        raise OSError("a connection was opened")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    (tmp_path / "root").mkdir()
    store = Store.open(tmp_path / "root")
    resolve = RootWeights(store)
    for published, name in ((single, "file"), (several, "model")):
        with pytest.raises(
            WeightsError, match=f"nor on this machine: run `viral weights fetch {published.name} --root"
        ):
            find_weights(published.name, resolve)
        put(published.weights, published.folder, store)
        rooted = FeatureSet("tiny", (ExtractorEntry(Tiny(weights=name)),), resolve)
        assert rooted.fingerprint and not rooted.unavailable() and rooted.build()
    output("list", "--root", store.root)
    assert FeatureSet.named("light").build()
    assert opened == []
    with pytest.raises(WeightsError, match="a connection was opened"):
        fetch(replace(single.weights, name="again"), store)
    assert opened
