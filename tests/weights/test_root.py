from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from jobs.runtime.options import resolve_feature_set
from tests.weights.conftest import Published
from tests.weights.tiny import Tiny
from viral.config import Settings
from viral.errors import WeightsError
from viral.extractors.extractor import Context
from viral.extractors.feature_set import ExtractorEntry, FeatureSet
from viral.extractors.resnet50 import ResNet50
from viral.features.pipeline import Pipeline, with_root_weights
from viral.storage import s3
from viral.storage.store import Store
from viral.weights.catalogue import WeightsFile
from viral.weights.command import put
from viral.weights.listing import weights_rows
from viral.weights.manifest import file_digest
from viral.weights.resolve import find_weights, resolve_local
from viral.weights.root import RootWeights


def tiny(weights: str, resolve=resolve_local) -> FeatureSet:
    return FeatureSet("tiny", (ExtractorEntry(Tiny(weights=weights)),), resolve)


def refuse(weights: object) -> Path:
    raise AssertionError("the weights were looked for")


def test_published_files_are_named_by_name_alone_in_fingerprints(single):
    assert ResNet50().identity(refuse) == ResNet50().params()
    assert Tiny().identity(refuse) == {"weights": "file"}


def test_a_file_whose_name_tells_no_hash_is_trusted_on_first_use(single, publish, any_store):
    plain = WeightsFile("tiny-file", "https://nowhere.invalid/plain.safetensors")
    publish(plain)
    assert list(weights_rows(None))[-1].trust == "first use"
    file = single.folder / single.weights.file
    put(plain, file, any_store)
    assert Tiny().identity(RootWeights(any_store)) == {"weights": f"file@sha256:{file_digest(file)}"}
    put(plain, file)
    assert Tiny().identity(resolve_local) == Tiny().identity(RootWeights(any_store))


def test_models_trusted_on_first_use_are_named_by_their_bytes(several, any_store, publish):
    put(several.weights, several.folder, any_store)
    root = RootWeights(any_store)
    before = tiny("model", root).fingerprint
    assert not Path(os.environ["VIRAL_WEIGHTS"]).exists(), "a fingerprint alone copies nothing"
    whole = {file: file_digest(several.folder / file) for file in several.files}
    publish(replace(several.weights, sha256=whole))
    assert tiny("model", refuse).fingerprint == before, "that their hashes are in the table now changes nothing"
    publish(several.weights)
    several.change("parts/model.safetensors")
    put(several.weights, several.folder)
    assert tiny("model", resolve_local).fingerprint != before
    assert tiny("model", root).fingerprint == before, "what the root holds goes before what the machine has"


def test_a_copy_on_the_machine_is_taken_if_it_is_the_same(several, any_store, tmp_path):
    put(several.weights, several.folder)
    put(several.weights, several.folder, any_store)
    assert find_weights(several.name, RootWeights(any_store)) == tmp_path / "machine" / several.name


def test_a_root_in_a_folder_is_read_in_place(single, tmp_path):
    (tmp_path / "root").mkdir()
    store = Store.open(tmp_path / "root")
    put(single.weights, single.folder, store)
    assert find_weights(single.name, RootWeights(store)) == tmp_path / "root/weights/tiny-file" / single.weights.file
    assert not (tmp_path / "machine").exists()


def test_weights_in_a_root_that_are_not_what_its_manifest_says(single, any_store, tmp_path):
    put(single.weights, single.folder, any_store)
    any_store.write(f"weights/tiny-file/{single.weights.file}", b"other")
    with pytest.raises(WeightsError, match=r"differs from its manifest|has changed since"):
        find_weights(single.name, RootWeights(any_store))
    any_store.write("weights/tiny-file/manifest.json", b"{}")
    with pytest.raises(WeightsError, match="is not a manifest of weights: delete its folder"):
        find_weights(single.name, RootWeights(any_store))
    assert not list(tmp_path.glob("machine/tiny-file*"))


def test_keys_below_the_root(any_store, tmp_path):
    key, data = "models/video/0001/backbone.safetensors", save({"w": torch.arange(9.0)})
    any_store.write(key, data)
    root = RootWeights(any_store)
    path = root(f"root:{key}")
    assert path.name == "backbone.safetensors" and path.read_bytes() == data
    assert tiny(f"root:{key}", root).fingerprint == tiny(str(path)).fingerprint
    any_store.write(key, save({"w": torch.zeros(9)}))
    assert root(f"root:{key}").read_bytes() != data
    for wrong in ("root:models/none", "root:../x", "root:/etc/passwd", "root:"):
        with pytest.raises(WeightsError, match=r"there are no weights at|is not a key below the root"):
            root(wrong)
    with pytest.raises(WeightsError, match="cannot read weights from root:models/x here"):
        resolve_local("root:models/x")


def test_a_damaged_copy_of_an_object_is_refused(s3_root):
    store = Store(s3_root)
    store.write("w.safetensors", b"whole")
    path = RootWeights(store)("root:w.safetensors")
    assert RootWeights(store)(f"{s3_root}/w.safetensors") == path
    path.write_bytes(b"half")
    with pytest.raises(WeightsError, match=r"w.safetensors has changed since it was fetched: delete"):
        RootWeights(store)("root:w.safetensors")


def test_eight_processes_copy_once(several, s3_root, tmp_path):
    put(several.weights, several.folder, Store(s3_root))
    context = multiprocessing.get_context("fork")
    started, found = context.Barrier(8), context.Queue()
    processes = [context.Process(target=resolved, args=(several, s3_root, tmp_path, started, found)) for _ in range(8)]
    for process in processes:
        process.start()
    paths = {found.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    (folder,) = paths
    assert {file: Path(folder, file).read_bytes() for file in several.files} == several.files
    assert len((tmp_path / "downloads").read_text().splitlines()) == len(several.files)
    assert [path.name for path in (tmp_path / "machine").iterdir() if path.suffix != ".lock"] == [Path(folder).name]


def resolved(several: Published, root: str, folder: Path, started, found) -> None:
    """Find a model in a separate process and log each object that it downloads."""
    s3._client.cache_clear()  # the parent's connections
    download = s3.download

    def logged(uri: str, local: Path) -> None:
        with (folder / "downloads").open("a") as log:
            log.write(f"{uri}\n")
        download(uri, local)

    s3.download = logged
    started.wait()
    try:
        found.put(str(find_weights(several.name, RootWeights(Store(root)))))
    except BaseException as error:
        found.put(repr(error))
        raise


def test_a_worker_with_other_weights_than_the_driver_is_refused(several, any_store):
    put(several.weights, several.folder)
    sent = with_root_weights(tiny("model"), any_store)
    assert sent.fingerprint
    there = pickle.loads(pickle.dumps(sent))
    there.check_fingerprints()
    several.change("config.json")
    shutil.rmtree(find_weights(several.name))
    put(several.weights, several.folder)
    with pytest.raises(WeightsError, match=r"the weights of tiny on .* differ from those where the job was started"):
        pickle.loads(pickle.dumps(sent)).check_fingerprints()


def test_who_works_on_a_root_finds_its_weights(single, any_store):
    put(single.weights, single.folder, any_store)
    assert tiny("file").unavailable(), "they are not on the machine"
    with Pipeline(tiny("file"), any_store, Settings()) as pipeline:
        found = pipeline.extract_draft(None, Context()).vectors["tiny"]
    assert found == np.float32(sum(range(20_000)))
    assert resolve_feature_set("full", None, any_store).resolve == RootWeights(any_store)
    assert with_root_weights(tiny("file", refuse), any_store).resolve is refuse
