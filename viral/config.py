"""Typed settings, from a YAML file and the environment."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from viral.errors import ConfigError

DEFAULT_FILE = "viral.yaml"
PREFIX, DELIMITER = "VIRAL_", "__"
OTHER_VARIABLES = (
    "VIRAL_ROOT",
    "VIRAL_API_KEY",
    "VIRAL_ENDPOINT",
    "VIRAL_WEIGHTS",
)  # read by commands, not by `Settings`
_SIMILARITY = 0.85  # of names that differ by a letter or two: 1 for equal ones


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MediaSettings(_Section):
    """Limits on the videos that are read."""

    # Far above any short video, so that only broken or foreign files exceed them.
    max_bytes: PositiveInt = Field(default=512 << 20, description="largest file")
    max_seconds: float = Field(default=600.0, gt=0, description="longest video")
    max_pixels: PositiveInt = Field(default=8192 * 4320, description="largest frame: 8K")


class SandboxSettings(_Section):
    """Limits on the decoding of one file, in a child process."""

    # A short video decodes in less than a second, so a minute leaves room for longer ones and a busy machine.
    seconds: float = Field(default=60.0, gt=0, description="wall time per file")
    # Some 20 RGB frames of `media.max_pixels`.
    memory_bytes: PositiveInt = Field(default=2 << 30, description="memory above what the child has at its start")
    # A new child takes half a second to start, which 100 files share.
    recycle_after: PositiveInt = Field(
        default=100, description="files that a child decodes before it is replaced, because decord leaks memory"
    )


class BackfillSettings(_Section):
    """How a backfill uses a cluster."""

    shape: Literal["auto", "fused", "two-stage"] = Field(
        default="auto", description="decode and encode in one worker or in two; auto: in two if there is a GPU"
    )
    workers: PositiveInt | None = Field(
        default=None, description="CPU cores to use, default all; an autoscaler adds the cores that are missing"
    )
    encoders: PositiveInt | None = Field(
        default=None,
        description="how many of these encode in two stages; default: by what earlier runs took, at most one per GPU",
    )


class FetchSettings(_Section):
    """Limits on the fetching of one URL."""

    # The largest file (`media.max_bytes`) at 15 Mbit/s.
    # Four stalled attempts and the pauses between them take less than half of it.
    seconds: float = Field(
        default=300.0, gt=0, description="wall time per URL with all attempts, without waiting for the rate limit"
    )
    stall_seconds: float = Field(default=30.0, gt=0, description="time without a byte before a connection is closed")
    attempts: PositiveInt = Field(default=4, description="requests per URL while it fails with a transient error")
    backoff_seconds: float = Field(default=1.0, gt=0, description="pause after the first failure; doubles each time")


class ServeSettings(_Section):
    """Address and limits of the HTTP endpoint. Limits on requests hold for each ingress replica."""

    host: str = "127.0.0.1"  # loopback: the endpoint needs a key on any other host
    port: int = Field(default=8000, ge=0, le=65535)  # the default of Ray Serve; 0 picks a free port
    keys_file: Path | None = Field(default=None, description="file of API keys on each node (viral serve keys add)")
    ssl_certfile: str | None = None  # HTTPS by Serve itself; both or neither
    ssl_keyfile: str | None = None
    metrics_port: int = Field(default=0, ge=0, le=65535, description="Prometheus port of this machine's Ray; 0: none")
    # Off: HAProxy binds ports 8404 and 9101 on all interfaces, and turns a replica's 502, 503 and 504 into 500.
    ha_proxy: bool = Field(default=False, description="HAProxy in front, in place of Serve's own proxy")
    log_folder: Path | None = Field(default=None, description="where logs are kept after the end; none: not kept")
    max_upload_bytes: PositiveInt = 256 << 20  # a video of 60 s at 30 Mbit/s; half of media.max_bytes
    max_bytes_in_flight: PositiveInt = 512 << 20  # two of the largest uploads, or dozens of usual ones of 5 to 20 MB
    min_upload_rate: PositiveInt = 64 << 10  # bytes per second; slower than any mobile network in use
    max_wait_seconds: float = Field(default=2.0, gt=0, description="a request that would wait longer gets 429")
    # An explanation decodes a video several times.
    request_seconds: float = Field(default=120.0, gt=0, description="time limit of a request, its body included")
    max_fetching: PositiveInt = 8  # a stalled storage holds as many threads; further requests with a URI get 429
    max_ingresses: PositiveInt = 2  # one answers hundreds of requests per second
    max_decoders: PositiveInt = 4  # each decodes one video at a time
    max_replicas: PositiveInt = 4  # encoders at most; each takes a CPU core and loads all weights
    # Serve's defaults. A replica takes seconds to start and loads all weights, so a short peak is not worth one.
    upscale_seconds: float = Field(default=30.0, gt=0, description="a load that lasts so long starts replicas")
    downscale_seconds: float = Field(default=600.0, gt=0, description="and one that is lower for so long ends some")
    encoder_gpus: float = Field(default=0.0, ge=0, description="GPUs per encoder; a fraction shares one")
    cache_bytes: int = Field(default=64 << 20, ge=0, description="vectors of videos seen before, kept in memory")
    # Each check is one listing of the promotions, by each replica.
    follow_seconds: float = Field(default=5.0, gt=0, description="interval of the check for a new champion")


class MonitorSettings(_Section):
    """Evidence and alerts of the monitor."""

    # Half a year: a correction or a complaint about a story comes later only rarely.
    retention_days: PositiveInt = Field(default=180, description="evidence is deleted after this time")
    timestamp_url: str | None = Field(default=None, description="RFC 3161 server that stamps each bundle of evidence")
    smtp_host: str | None = Field(default=None, description="mail server of alerts")
    smtp_port: int = Field(default=587, ge=1, le=65535)  # submission with STARTTLS, RFC 6409
    smtp_tls: Literal["starttls", "ssl", "none"] = "starttls"
    smtp_user: str | None = None
    smtp_password: str | None = None
    smtp_from: str | None = Field(default=None, description="sender of alerts; default: the receiver")
    webhook_secret: str | None = Field(default=None, description="signs the messages of webhooks")
    faces: bool = Field(default=False, description="face targets: off unless switched on")
    browser: Path | None = Field(default=None, description="Chromium of TikTokApi feeds; default: Playwright's own")


class Settings(BaseSettings):
    """All settings. `VIRAL_SANDBOX__SECONDS=30` in the environment overrides `sandbox.seconds` of the file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=DELIMITER, yaml_file=DEFAULT_FILE, extra="forbid"
    )

    media: MediaSettings = MediaSettings()
    sandbox: SandboxSettings = SandboxSettings()
    backfill: BackfillSettings = BackfillSettings()
    fetch: FetchSettings = FetchSettings()
    serve: ServeSettings = ServeSettings()
    monitor: MonitorSettings = MonitorSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Set the precedence: arguments, environment, `viral.yaml` in the working directory."""
        # Without .env and secret files: one file and the environment are all that one must look at.
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls)


def check_environment() -> None:
    """Raise ConfigError if a variable of the environment looks like a setting that does not exist."""
    settings = [
        f"{PREFIX}{section}{DELIMITER}{name}".upper()
        for section, field in Settings.model_fields.items()
        for name in cast("type[BaseModel]", field.annotation).model_fields
    ]
    # pydantic ignores variables that fit no setting; a typo would silently keep the default.
    for name, value in os.environ.items():
        upper = name.upper()
        # Kubernetes describes services in variables such as VIRAL_SERVE_PORT=tcp://10.0.0.1:8000.
        if not upper.startswith(PREFIX) or upper in {*settings, *OTHER_VARIABLES} or value.startswith("tcp://"):
            continue
        similar = difflib.get_close_matches(upper, [*settings, *OTHER_VARIABLES], n=1, cutoff=_SIMILARITY)
        if similar or DELIMITER in name:
            known = similar[0] if similar else f"one of {', '.join(settings)}"
            raise ConfigError(f"there is no setting {name}: did you mean {known}? Correct or unset it")


def _check_file() -> None:
    """Raise ConfigError if `viral.yaml` is not a mapping."""
    try:
        content = yaml.safe_load(Path(DEFAULT_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (ValueError, yaml.YAMLError, OSError) as error:
        raise ConfigError(f"cannot read {Path(DEFAULT_FILE).absolute()}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict | None):
        raise ConfigError(
            f"{Path(DEFAULT_FILE).absolute()} is no mapping of settings: write lines like `sandbox: {{seconds: 30}}`, "
            "or run in another folder"
        )


def load() -> Settings:
    """Load the settings of this process.

    Raises:
        ConfigError: a value is invalid (the message names it), a variable is no setting, or the file is not a mapping
            of settings.
    """
    check_environment()
    _check_file()
    where = f"{DEFAULT_FILE} or the environment" if Path(DEFAULT_FILE).exists() else "the environment"
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        unknown = first["type"] == "extra_forbidden"
        raise ConfigError(f"setting {name} in {where}: {'no such setting' if unknown else first['msg']}") from error
    except ValueError as error:  # a section in the environment that is no JSON
        raise ConfigError(f"cannot read settings from {where}: {' '.join(str(error).split())}") from error
