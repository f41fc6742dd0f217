"""Captions and uploads while the storage stalls.

`python -m tests.bench.stalled --root ROOT --model MODEL`. What the endpoint needs of ROOT is copied to an S3 server
(moto), which is then stopped for as long as both are measured, beside clients that ask for stored videos.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.bench.endpoint import BIN, Endpoint, measured, serving
from tests.shared_ray import free_port

BUCKET, ASKING = "trial", 12  # more clients than there are threads for fetches
LEAVING_SECONDS = 5.0  # after which each client asks for another video: the threads stay taken


@contextmanager
def s3(root: Path, model: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run an S3 server with the model and the videos; this process and its children use it."""
    import boto3

    port = free_port()
    server = subprocess.Popen(
        [BIN / "moto_server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    os.environ.update(
        AWS_ENDPOINT_URL=url, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="us-east-1"
    )
    try:
        while True:
            with suppress(httpx.TransportError):
                httpx.get(url, trust_env=False)
                break
            time.sleep(0.2)
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        for path in [*(root / "models" / model).rglob("*"), *sorted((root / "videos").glob("*.mp4"))[:ASKING]]:
            if path.is_file():
                client.upload_file(str(path), BUCKET, f"root/{path.relative_to(root)}")
        yield server
    finally:
        server.send_signal(signal.SIGCONT)
        server.terminate()
        server.wait()


def ask(endpoint: Endpoint, number: int, stopped: threading.Event, statuses: Counter[int]) -> None:
    """Ask for a stored video until stopped."""
    while not stopped.wait(0.1):
        try:
            with httpx.Client(base_url=endpoint.url, timeout=LEAVING_SECONDS, trust_env=False) as http:
                reply = http.post("/v1/score", json={"uri": f"videos/{endpoint.videos[number].name}"})
                statuses[reply.status_code] += 1
        except httpx.TimeoutException:
            statuses[0] += 1


def main() -> None:
    """Measure alone and beside a storage that stalls."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--model", default="fusion")
    options = parser.parse_args()
    root = options.root.resolve()
    with s3(root, options.model) as server, serving(f"s3://{BUCKET}/root", options.model) as endpoint:
        endpoint.videos = sorted((root / "videos").glob("*.mp4"))[:ASKING]
        for what in ("captions", "uploads"):
            print(f"{what} alone: {measured(endpoint, what)}", flush=True)
        stopped, statuses = threading.Event(), Counter[int]()
        server.send_signal(signal.SIGSTOP)
        askers = [threading.Thread(target=ask, args=(endpoint, number, stopped, statuses)) for number in range(ASKING)]
        for asker in askers:
            asker.start()
        started = time.monotonic()
        for what in ("captions", "uploads"):
            print(f"{what} while the storage stalls: {measured(endpoint, what)}", flush=True)
        print(f"stored videos, in {time.monotonic() - started:.0f} s: {dict(statuses)} (0: the client left)")
        server.send_signal(signal.SIGCONT)
        time.sleep(LEAVING_SECONDS)
        statuses.clear()
        time.sleep(LEAVING_SECONDS)
        stopped.set()
        for asker in askers:
            asker.join()
        print(f"stored videos afterwards: {dict(statuses)}")


if __name__ == "__main__":
    main()
