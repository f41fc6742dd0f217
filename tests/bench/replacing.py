"""Requests of twenty seconds while the endpoint changes: promotion, new settings, fewer ingresses, a stop.

`python -m tests.bench.replacing --root ROOT --model MODEL`. ROOT has a trained model and videos below `videos/`; two
versions of it are promoted in turn. Uploads take as long because the decoder is stopped; captions are sent beside them.
Prints the statuses of both.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from jobs.runtime.session import connect, session
from serve import endpoint as product
from serve.early import EARLY
from serve.settings import EndpointSpec
from tests.bench.endpoint import BIN, Clients, Endpoint
from tests.serve.processes import find_processes
from tests.shared_ray import free_port
from viral.config import ServeSettings, Settings
from viral.storage.store import Store

SECONDS, UPLOADS = 20.0, 2


@contextmanager
def slow_uploads(endpoint: Endpoint) -> Iterator[Counter[int]]:
    """Send uploads that take `SECONDS`, around the block; yields their statuses, complete at its end."""
    statuses, decoders = Counter[int](), find_processes("viral.media.child", os.getpid())
    video = endpoint.videos[0].read_bytes()

    def post() -> int:
        with endpoint.http as http:
            return http.post("/v1/score", files={"file": video + os.urandom(8)}).status_code

    with ThreadPoolExecutor(UPLOADS) as pool:
        for decoder in decoders:
            os.kill(decoder, signal.SIGSTOP)
        pending, started = [pool.submit(post) for _ in range(UPLOADS)], time.monotonic()
        time.sleep(2)
        yield statuses
        time.sleep(max(0.0, started + SECONDS - time.monotonic()))
        for decoder in decoders:
            os.kill(decoder, signal.SIGCONT)
        statuses.update(future.result() for future in pending)


def under_load(endpoint: Endpoint, name: str, change: Callable[[], Any]) -> None:
    """Change the endpoint under slow uploads and captions."""
    with endpoint.http as http:
        http.post("/v1/score", files={"file": endpoint.videos[0].read_bytes() + os.urandom(8)})  # starts the decoder
    with Clients(endpoint, "captions") as captions, ThreadPoolExecutor(1) as pool:
        with slow_uploads(endpoint) as uploads:
            started = time.monotonic()
            changed = pool.submit(change)
        changed.result()
        seconds = time.monotonic() - started
        time.sleep(3)
    print(f"{name}, {seconds:.0f} s: uploads of {SECONDS:.0f} s {dict(uploads)}; captions {captions}", flush=True)


def deploy(spec: EndpointSpec, ingresses: int = 1) -> None:
    """Deploy it over what runs, with so many ingresses."""
    plain = product._deployment

    def scaled(kind: type, name: str, cpus: float, most: int, target: int, **more: Any) -> Any:
        return plain(kind, name, cpus, most, target, **(more | ({"at_least": ingresses} if name == "Ingress" else {})))

    with mock.patch.object(product, "_deployment", scaled):
        product._deploy(product.build(spec))


def main() -> None:
    """Change an endpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--model", default="fusion")
    options = parser.parse_args()
    root, model = options.root.resolve(), options.model
    os.environ.update(EARLY)

    def promote(version: int) -> None:
        command = [BIN / "viral", "models", "promote", f"{model}/{version}", "--root", root, "--force", "a trial"]
        subprocess.run(command, check=True, capture_output=True)

    promote(1)
    settings = Settings(serve=ServeSettings(port=free_port()))
    spec = EndpointSpec(Store.open(str(root)).root, (f"{model}@champion",), settings)
    other = replace(spec, settings=settings.model_copy(deep=True))
    other.settings.serve.max_wait_seconds += 1
    with session():
        connect()
        with product.running(spec) as url:
            endpoint = Endpoint(url, root, model, os.getpid(), sorted((root / "videos").glob("*.mp4")))
            under_load(endpoint, "promotion", lambda: promote(2))
            under_load(endpoint, "new settings", lambda: deploy(other))
            deploy(other, ingresses=2)
            under_load(endpoint, "one ingress of two", lambda: deploy(other))
            under_load(endpoint, "stop", lambda: product.stop(settings.serve.request_seconds))


if __name__ == "__main__":
    main()
