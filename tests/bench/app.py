"""The app in Chromium: seconds until its first page is visible, and its memory over many uploads.

`python tests/bench/app.py --root ROOT` starts the app on a root (its pages need no model for this), opens it in new
browsers, and uploads random files one after the other. It prints seconds, and MiB of resident memory.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

PROJECT = Path(__file__).resolve().parents[2]
START = "import sys; sys.argv[0] = 'viral'; from cluster.cli import main; main()"
OPENINGS = 5  # of the first page: the median of a few
SHOWN = (1, 10, 25, 50)  # uploads after which the memory is shown


def memory(pid: int) -> float:
    """Resident memory of a process in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def await_health(url: str) -> None:
    """Wait until the app answers."""
    while True:
        with suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
            return
        time.sleep(0.1)


def opening(browser: Browser, url: str) -> float:
    """Seconds from the request to the heading, in a browser that has nothing cached."""
    context = browser.new_context()
    page, started = context.new_page(), time.perf_counter()
    page.goto(url)
    page.get_by_role("heading", name="Score a draft").wait_for()
    seconds = time.perf_counter() - started
    context.close()
    return seconds


def uploads(browser: Browser, url: str, pid: int, files: list[Path], count: int) -> list[float]:
    """Memory after each of many uploads in one session, each removed before the next.

    Two files in turn: a browser that is given the same again tells nobody.
    """
    page, found = browser.new_page(), []
    page.goto(url)
    for number in range(count):
        file = files[number % len(files)]
        page.wait_for_timeout(1000)  # milliseconds: the page has told the server that the last one is gone
        page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(str(file))
        page.get_by_role("button", name=f"Remove {file.name}").wait_for(timeout=120_000)
        found.append(memory(pid))
        page.get_by_role("button", name=f"Remove {file.name}").click()
        page.get_by_test_id("stFileChip").wait_for(state="detached")
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True)
    parser.add_argument("--uploads", type=int, default=50)
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--port", type=int, default=8599)
    options = parser.parse_args()
    url = f"http://127.0.0.1:{options.port}"
    line = ["app", "--root", options.root, "--endpoint", "http://127.0.0.1:9", "--port", str(options.port)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        files = [Path(folder) / name for name in ("clip.mp4", "other.mp4")]
        for file in files:
            file.write_bytes(os.urandom(options.megabytes << 20))
        process = subprocess.Popen(
            [sys.executable, "-c", START, *line], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert process.stdout
        process.stdout.readline()
        await_health(url)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        seconds = sorted(opening(browser, url) for _ in range(OPENINGS))
        print(f"first page visible: median {statistics.median(seconds):.2f} s, {seconds[0]:.2f} to {seconds[-1]:.2f} s")
        before = memory(process.pid)
        found = uploads(browser, url, process.pid, files, options.uploads)
        print(f"memory before: {before:.0f} MiB")
        for number in SHOWN:
            if number <= len(found):
                print(f"after {number:>3} uploads of {options.megabytes} MB: {found[number - 1]:.0f} MiB")
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
