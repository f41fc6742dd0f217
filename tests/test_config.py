"""The settings: from a file and the environment, refused where they do not fit."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from viral.config import Settings, load
from viral.errors import ConfigError


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("VIRAL_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_defaults_without_a_file() -> None:
    settings = load()
    assert settings.sandbox.seconds == 60
    assert settings.media.max_bytes == 512 << 20
    assert settings.serve.host == "127.0.0.1"
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_arguments_over_environment_over_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("viral.yaml").write_text("sandbox: {seconds: 5, recycle_after: 3}\nmedia: {max_seconds: 7}\n")
    monkeypatch.setenv("VIRAL_SANDBOX__SECONDS", "6")
    monkeypatch.setenv("VIRAL_ROOT", "of the command line, not a setting")
    settings = load()
    assert (settings.sandbox.seconds, settings.sandbox.recycle_after, settings.media.max_seconds) == (6, 3, 7)
    assert Settings(sandbox={"seconds": 1}).sandbox.seconds == 1


def test_an_empty_file_sets_nothing() -> None:
    Path("viral.yaml").touch()
    assert load() == Settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sandbx: {}", "setting sandbx in viral.yaml or the environment: no such setting"),
        ("sandbox: {second: 3}", "setting sandbox.second in viral.yaml or the environment: no such setting"),
        ("sandbox: {seconds: 0}", "setting sandbox.seconds in .*: Input should be greater than 0"),
        ("serve: {port: 70000}", "setting serve.port in .*: Input should be less than or equal to 65535"),
        ("sandbox: 3", "setting sandbox in .*: Input should be a valid dictionary"),
        ("just words", "/.*/viral.yaml is no mapping of settings: write lines like `sandbox: {seconds: 30}`"),
        ("- sandbox", "/.*/viral.yaml is no mapping of settings"),
        ("3", "/.*/viral.yaml is no mapping of settings"),
        ("a: [", "cannot read /.*/viral.yaml: while parsing a flow node"),
        (b"\xff\xfe\xff", "cannot read /.*/viral.yaml"),
    ],
)
def test_a_file_that_does_not_fit(text: str | bytes, message: str) -> None:
    Path("viral.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError, match=f"^{message}") as caught:
        load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("VIRAL_SANDBOX__SECONDS", "soon", "setting sandbox.seconds in the environment: Input should be a valid"),
        (
            "VIRAL_SANDBOX__SECOND",
            "3",
            "there is no setting VIRAL_SANDBOX__SECOND: did you mean VIRAL_SANDBOX__SECONDS",
        ),
        ("VIRAL_SANDBX__SECONDS", "3", "there is no setting VIRAL_SANDBX__SECONDS: did you mean VIRAL_SANDBOX__SEC"),
        ("VIRAL_SANDBOX_SECONDS", "3", "there is no setting VIRAL_SANDBOX_SECONDS: did you mean VIRAL_SANDBOX__SEC"),
        ("viral_foo__bar", "3", "there is no setting viral_foo__bar: did you mean one of VIRAL_MEDIA__MAX_BYTES, "),
        ("VIRAL_APIKEY", "3", "there is no setting VIRAL_APIKEY: did you mean VIRAL_API_KEY"),
        ("VIRAL_SANDBOX", "{bad", 'cannot read settings from the environment: .*field "sandbox"'),
    ],
)
def test_an_environment_that_does_not_fit(name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"^{message}"):
        load()


@pytest.mark.parametrize(
    ("name", "value"), [("VIRAL_SERVE_PORT", "tcp://10.0.0.1:80"), ("VIRAL_TEST_DATA", "/x"), ("VIRAL_WEIGHTS", "/y")]
)
def test_variables_of_others(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes sets the first in every pod beside a service named viral-serve."""
    monkeypatch.setenv(name, value)
    assert load() == Settings()
