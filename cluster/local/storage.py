"""The object storage of a local cluster: an S3 server in memory."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from viral.errors import ConfigError

_READY_SECONDS = 60.0  # the server imports for two or three of them, longer where the cores are busy
_POLL_SECONDS = 0.2


def check_programs(*, redis: bool) -> None:
    """Check that the servers are installed.

    Raises:
        ConfigError: one is not.
    """
    if not Path(sys.executable).with_name("moto_server").exists():
        raise ConfigError("the S3 server of a local cluster is not installed: pip install 'viral[local-cluster]'")
    if redis and shutil.which("redis-server") is None:
        raise ConfigError("redis-server not found: apt-get install redis-server, or leave out --redis")


def make_bucket(name: str, variables: Mapping[str, str]) -> None:
    """Make a bucket as soon as the server answers.

    Args:
        name: of the bucket.
        variables: as a client's environment has them.

    Raises:
        ConfigError: the server does not answer.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    client = boto3.client(
        "s3",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_DEFAULT_REGION"],
        config=Config(connect_timeout=1, retries={"total_max_attempts": 1}, proxies={}),
    )
    until = time.monotonic() + _READY_SECONDS
    with closing(client):
        while True:
            try:
                client.create_bucket(Bucket=name)
            except BotoCoreError as error:
                if time.monotonic() > until:
                    raise ConfigError(f"the object storage did not start ({error})") from error
                time.sleep(_POLL_SECONDS)
            else:
                return
