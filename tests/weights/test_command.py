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
from viral.extractors.feature_set import Entry, FeatureSet
from viral.storage.store import Store
from viral.weights.catalogue import KNOWN_WEIGHTS
from viral.weights.command import command, fetch, put
from viral.weights.manifest import MANIFEST
from viral.weights.resolve import find_known, read_state_dict
from viral.weights.root import RootWeights


def said(*arguments: object) -> str:
    """What a command prints. Raises what it raises."""
    done = CliRunner().invoke(command, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def listed(name: str, *arguments: object) -> dict:
    rows = map(json.loads, said("list", "--json", *arguments).splitlines())
    return next(row for row in rows if row["name"] == name)


def everything(folder: Path) -> set[str]:
    """All files below a folder but locks."""
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"}


def test_a_file_is_fetched_once_into_the_root(single, any_root, tmp_path):
    with serving(single.files) as (address, asked):
        url = f"{address}/{single.known.file}"
        for _ in range(2):
            assert any_root in said("fetch", single.name, "--root", any_root, "--from", url)
        assert len(asked) == 1
    written = json.loads(Store(any_root).read(f"weights/{single.name}/{MANIFEST}"))
    assert written["source"] == url and written["licence"] == "MIT"
    assert written["files"][single.known.file]["size"] == len(single.files[single.known.file])
    row = listed(single.name, "--root", any_root)
    assert row["places"] == {"root": "there", "machine": "absent"}
    assert row["sha256"] == written["files"][single.known.file]["sha256"]
    assert row["trust"] == "published"
    path = find_known(single.name, RootWeights(Store(any_root)))
    assert read_state_dict(path)["weight"].shape == (20_000,)
    assert everything(tmp_path / "machine") <= {
        f"{single.name}@{row['sha256'][:16]}/{f}" for f in (path.name, MANIFEST)
    }


def test_without_a_root_a_file_is_kept_on_this_machine(single, tmp_path):
    with serving(single.files) as (address, _):
        said("fetch", single.name, "--from", f"{address}/{single.known.file}")
    assert everything(tmp_path / "machine") == {f"{single.name}/{file}" for file in (single.known.file, MANIFEST)}
    assert listed(single.name)["places"] == {"machine": "there"}
    assert find_known(single.name).read_bytes() == single.files[single.known.file]


@pytest.mark.parametrize("wrong", ["bytes", "status", "nothing"])
def test_what_is_not_what_was_published_is_one_line_and_leaves_nothing(wrong, single, any_root, tmp_path):
    with serving({"w.safetensors": b"something else"}) as (address, _):
        url = {"bytes": f"{address}/w.safetensors", "status": f"{address}/x", "nothing": "http://127.0.0.1:1/x"}[wrong]
        for store in (Store(any_root), None):
            with pytest.raises(WeightsError) as raised:
                fetch(single.known, store, url)
            assert "\n" not in str(raised.value)
            assert ("is not what was published" if wrong == "bytes" else "viral weights put tiny-file") in str(
                raised.value
            )
    assert everything(tmp_path / "machine") == set()
    assert list(Store(any_root).objects("")) == []


@pytest.mark.parametrize("to_root", [True, False])
def test_a_folder_is_put_and_checked_ever_after(to_root, several, any_root, tmp_path):
    place = ("--root", any_root) if to_root else ()
    resolve = RootWeights(Store(any_root))
    for _ in range(2):
        said("put", several.name, several.folder, *place)
    row = listed(several.name, "--root", any_root)
    assert row["trust"] == "first use" and set(row["files"]) == set(several.files)
    assert (
        row["places"] == {"root": "there", "machine": "absent"} if to_root else {"root": "absent", "machine": "there"}
    )
    found = find_known(several.name, resolve)
    assert {file: (found / file).read_bytes() for file in several.files} == several.files
    several.change("parts/model.safetensors")
    with pytest.raises(WeightsError, match=r"holds tiny-model with other bytes .* delete it first"):
        put(several.known, several.folder, Store(any_root) if to_root else None)
    (found / "config.json").write_text("[]")
    with pytest.raises(
        WeightsError, match=r"config.json has other bytes than it had when it came: delete .*(machine|root)"
    ):
        find_known(several.name, resolve)


def test_what_is_put_must_be_what_is_needed(single, several, tmp_path, any_root):
    store = Store(any_root)
    (several.folder / "config.json").unlink()
    for known, path, wrong in (
        (several.known, several.folder, "lacks config.json, which tiny-model needs"),
        (several.known, several.folder / "parts/model.safetensors", "give a folder that holds config.json, parts"),
        (single.known, tmp_path / "nowhere", f"give the file or a folder that holds {single.known.file}"),
        (single.known, several.folder / "parts/model.safetensors", "is not what was published: the SHA-256 of tiny-"),
    ):
        with pytest.raises(WeightsError, match=wrong):
            put(known, path, store)
    assert list(store.objects("")) == []
    assert single.name in said("put", single.name, single.folder / single.known.file, "--root", any_root)


def test_unknown_names_are_refused(tmp_path):
    for arguments in (("fetch", "resnet51"), ("put", "resnet51", tmp_path)):
        with pytest.raises(WeightsError, match="no weights are named 'resnet51': choose from resnet50-imagenet, "):
            said(*arguments)


def test_a_licence_without_commercial_use_is_told_and_has_to_be_accepted(several, tmp_path):
    assert "CC-BY-NC-4.0 (no commercial use)" in said("list")
    with pytest.raises(WeightsError, match=r"tiny-model is CC-BY-NC-4.0, not for commercial use .*--accept-licence"):
        said("fetch", several.name)
    assert everything(tmp_path) == {f"brought-model/{file}" for file in several.files}


def test_the_list_for_people_says_what_is_known_of_real_weights():
    text = said("list")
    assert re.search("resnet50-imagenet +103 MB +BSD-3-Clause +0676ba61b679 +-\n", text)
    assert "ImageNet, may bind their use" in text


def test_damaged_weights_are_named_in_the_list(several, any_root, tmp_path):
    store = Store(any_root)
    put(several.known, several.folder, store)
    put(several.known, several.folder)
    store.delete([f"weights/{several.name}/config.json"])
    (tmp_path / "machine" / several.name / "config.json").write_text("half")
    row = listed(several.name, "--root", any_root)
    assert row["places"]["root"].endswith("config.json is missing")
    assert "other bytes than it had" in row["places"]["machine"]
    put(several.known, tmp_path / "brought-model", store)
    assert listed(several.name, "--root", any_root)["places"]["root"] == "there"


def test_a_table_that_names_whole_hashes_is_right_about_the_names():
    for known in KNOWN_WEIGHTS.values():
        assert set(known.published) == set(known.files)
        assert all(len(each) in (0, 8, 64) for each in known.published.values())
        assert known.licence.name and known.licence.stated, known.name
        if getattr(known, "digest", ""):
            assert known.published[known.file].startswith(known.digest)


START = """
import sys
from viral.weights.catalogue import KNOWN_WEIGHTS, HubModel, KnownWeights
KNOWN_WEIGHTS["tiny-model"] = HubModel("tiny-model", "someone/tiny", ("config.json", "parts/model.safetensors"))
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
    with serving(several.files) as (address, asked):
        out, error = started("fetch", several.name, "--root", root, HF_ENDPOINT=address).communicate(timeout=60)
        assert str(root) in out, error
        assert f"GET /someone/tiny/resolve/{COMMIT}/parts/model.safetensors" in asked
    folder = root / "weights" / several.name
    assert everything(folder) == {*several.files, MANIFEST}
    assert json.loads((folder / MANIFEST).read_text())["source"] == f"https://huggingface.co/someone/tiny/tree/{COMMIT}"
    assert everything(tmp_path / "machine") == set()


def test_a_hub_that_sends_other_bytes_than_it_announces_is_not_believed(several, tmp_path):
    with serving(several.files, lies=True) as (address, _):
        process = started("fetch", several.name, HF_ENDPOINT=address)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "config.json of someone/tiny came with other bytes than the hub announced" in error.splitlines()[-1]
    assert everything(tmp_path / "machine") == set()


def test_a_kill_in_the_middle_leaves_nothing_half_written(single, website, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    process = started("fetch", "resnet50-imagenet", "--root", root, "--from", website("drip"))
    until = time.monotonic() + 60
    while not list(tmp_path.glob("machine/.*.part/*")) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert everything(root) == set()
    assert everything(tmp_path / "machine") != set(), "it was killed too early or too late"
    assert listed("resnet50-imagenet", "--root", root)["places"] == {"root": "absent", "machine": "absent"}
    with pytest.raises(WeightsError, match="is not what was published"):
        fetch(KNOWN_WEIGHTS["resnet50-imagenet"], None, str(single.folder / single.known.file))
    assert everything(tmp_path / "machine") == set(), "the next fetch clears up"


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
    for weights, name in ((single, "file"), (several, "model")):
        with pytest.raises(WeightsError, match=f"nor on this machine: run `viral weights fetch {weights.name} --root"):
            find_known(weights.name, resolve)
        put(weights.known, weights.folder, store)
        rooted = FeatureSet("tiny", (Entry(Tiny(weights=name)),), resolve)
        assert rooted.fingerprint and not rooted.unavailable() and rooted.build()
    said("list", "--root", store.root)
    assert FeatureSet.named("light").build()
    assert opened == []
    with pytest.raises(WeightsError, match="a connection was opened"):
        fetch(replace(single.known, name="again"), store)
    assert opened
