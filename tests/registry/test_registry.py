"""Models by name and version."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from viral.errors import ConfigError, TableError
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tables.places import check_name


def test_versions_count_up(any_store: Store) -> None:
    registry = Registry(any_store)
    assert registry.names() == []
    assert registry.versions("fusion") == []
    assert [registry.save("fusion", {"number": number}, bytes([number])) for number in (1, 2)] == [1, 2]
    assert registry.save("fusion-2", {"other": True}, b"") == 1
    assert registry.names() == ["fusion", "fusion-2"]
    assert registry.versions("fusion") == [1, 2]
    newest = registry.load("fusion")
    digest = hashlib.sha256(b"\x02").hexdigest()
    assert (str(newest), newest.weights) == ("fusion/2", b"\x02")
    assert newest.card == {"number": 2, "weights_sha256": digest, "saved_at": newest.card["saved_at"]}
    assert datetime.now(UTC) - datetime.fromisoformat(newest.card["saved_at"]) < timedelta(minutes=1)
    assert registry.load("fusion/1").weights == registry.load("fusion/0001").weights == b"\x01"


def test_writers_at_once_get_a_version_each(any_store: Store) -> None:
    with ThreadPoolExecutor(6) as pool:
        saved = list(pool.map(lambda me: Registry(any_store).save("m", {"me": me}, str(me).encode()), range(6)))
    assert sorted(saved) == [1, 2, 3, 4, 5, 6]
    for me, version in enumerate(saved):
        loaded = Registry(any_store).load(f"m/{version}")
        assert (loaded.card["me"], loaded.weights) == (me, str(me).encode())


def test_a_version_whose_writer_was_killed_is_not_there(any_store: Store) -> None:
    registry = Registry(any_store)
    registry.save("m", {}, b"whole")
    any_store.write_new("models/m/0002/claimed", b"")
    any_store.write("models/m/0002/model.safetensors", b"half")
    assert registry.versions("m") == [1]
    assert registry.load("m").weights == b"whole"
    assert registry.save("m", {}, b"next") == 3


def test_weights_that_are_not_what_was_saved(any_store: Store) -> None:
    registry = Registry(any_store)
    registry.save("m", {}, b"whole")
    any_store.write("models/m/0001/model.safetensors", b"whale")
    with pytest.raises(
        TableError, match=r"^the weights of model m/1 are damaged .*: restore .* from a backup, or train again$"
    ):
        registry.load("m")


def test_what_is_not_there(any_store: Store) -> None:
    registry = Registry(any_store)
    with pytest.raises(TableError, match=r"there is no model m in .*: train one first \(viral train\)"):
        registry.load("m")
    registry.save("other", {}, b"")
    registry.save("other", {}, b"")
    with pytest.raises(TableError, match=r"there is no model m in .*: there are other$"):
        registry.load("m")
    for number in ("3", "0", "one", "²", "1/2"):
        with pytest.raises(TableError, match=f"^model other has no version {number}: there are 1, 2$"):
            registry.load(f"other/{number}")


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "-a", "a" * 65, "ä", "a\n", "../posts"])
def test_what_is_no_name(name: str, any_store: Store) -> None:
    with pytest.raises(ConfigError, match="is not a valid name: use at most 64 letters"):
        check_name(name)


def test_a_reference_cannot_leave_the_models(any_store: Store) -> None:
    with pytest.raises(ConfigError, match=r"'\.\.' is not a valid name"):
        Registry(any_store).load("../posts")
    assert check_name("log_views-0.9") == "log_views-0.9"


def test_other_files_lie_beside_a_version_that_was_claimed(any_store: Store) -> None:
    registry = Registry(any_store)
    version = registry.claim("m")
    assert registry.versions("m") == []
    assert registry.save("m", {}, b"weights", version=version, files={"backbone.safetensors": b"more"}) == version == 1
    assert any_store.read(registry.key("m", 1, "backbone.safetensors")) == b"more"
    loaded = registry.load("m")
    assert (loaded.weights, loaded.store) == (b"weights", any_store)
    assert registry.save("m", {}, b"") == 2
