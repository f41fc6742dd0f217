"""Every command that a README shows is run, in its order, on a small synthetic corpus."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import ODD_NAME, PROJECT, Website
from tests.jobs.conftest import Viral
from tests.media.photos import write_picture
from tests.media.streams import write_tone
from tests.shared_ray import free_port
from viral.storage.store import Store

READMES = ("README.md", "viral/README.md", "jobs/README.md", "serve/README.md", "cluster/README.md", "tests/README.md")
CHECKED_BY_CI = {
    "pip install . && viral demo",  # .ci/run installs the package; cluster/README.md shows a smaller demo, run below
    "pip install '.[app]'",  # `dev` holds it
    "pip install '.[dev]' && python -m pytest -n 2 --dist loadfile",  # .ci/run itself
    "python -m pytest -n 2 --dist loadfile",
    'python -m pytest -n 2 --dist loadfile -m "not slow"',
    ".ci/run",
}
# By tests/cluster/test_submit.py, by test_local_cluster.py and by test_plan.py there; the app by tests/app.
ELSEWHERE = (
    "viral app",
    "export RAY_API_SERVER_ADDRESS",
    "viral submit",
    "viral jobs",
    "sudo viral",
    ". /tmp/viral",
    "viral plan",
)
COLUMNS = {
    "post_id": "id",
    "video_uri": "file",
    "author_id": "username",
    "posted_at": "create_time",
    "caption": "video_description",
    "duration_seconds": "duration",
    "views": "views_t1",
    "likes": "likes_t1",
    "shares": "shares_t1",
    "comments": "comments_t1",
}
# MLflow and what it brings warn of each other when `viral models sync` imports them into this process.
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "FutureWarning")]
STARTS_WITHIN = 120.0  # seconds; the endpoint starts a Ray of its own


def commands(readme: str) -> list[str]:
    """The commands of a README's shell blocks; a here-document belongs to its command."""
    text = (PROJECT / readme).read_text(encoding="utf-8")
    found: list[str] = []
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        found += re.findall(r"^\S.*?<<'EOF'\n.*?\nEOF$|^\S.*?$", block, re.DOTALL | re.MULTILINE)
    return [command.split("  #")[0].strip() for command in found]


IN_PROCESS = ("fusion", "text", "audio", "image", "editing", "metadata", "sound", "video")


def quicker(words: list[str]) -> list[str]:
    """Options that make a command do the same with less work."""
    if words[1] == "train" and words[2] in IN_PROCESS:
        return ["--workers", "0"]  # what two workers do, the tests of kills show
    if words[1] == "evaluate":
        return ["--resamples", "100"]
    if words[1] == "study":
        return ["--resamples", "100", "--seeds", "1", "--member", "logistic"]
    return []


class Reader:
    """Runs commands as a reader of a README would, in one folder and one environment."""

    def __init__(self, folder: Path, viral: Viral, substitutes: dict[str, str]) -> None:
        self.folder, self.viral, self.substitutes = folder, viral, substitutes
        self.environment: dict[str, str] = {}
        self.port = free_port()
        self.endpoint: subprocess.Popen[bytes] | None = None

    def run(self, command: str) -> None:
        """Run one command and check that it ends well."""
        for shown, here in self.substitutes.items():
            command = command.replace(shown, here)
        if re.match(r"viral serve( --|$)", command):
            self._serve(command)
        elif command.startswith("viral"):
            words = shlex.split(re.sub(r"\$(\w+)", lambda name: self.environment[name[1]], command))
            words += quicker(words)
            done = self.viral(*words[1:], **self.environment)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
        else:
            self._shell(command.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}"))

    def _shell(self, command: str) -> None:
        command = re.sub("^curl ", "curl --fail-with-body -sS ", command)
        script = f"set -e\n{command}\necho\npython3 -c 'import json, os; print(json.dumps(dict(os.environ)))'"
        environment = os.environ | self.environment
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, check=False, cwd=self.folder, env=environment
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        after = json.loads(done.stdout.splitlines()[-1])
        self.environment |= {name: after[name] for name in after if name.startswith("VIRAL_")}

    def _serve(self, command: str) -> None:
        self.close()
        environment = {**os.environ, **self.environment, "VIRAL_SERVE__PORT": str(self.port)}
        line = [str(Path(sys.executable).with_name("viral")), *shlex.split(command)[1:]]
        self.endpoint = subprocess.Popen(line, cwd=self.folder, env=environment)
        until = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < until and self.endpoint.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5).close()
            except OSError:
                time.sleep(0.2)
            else:
                return
        pytest.fail(f"{command} does not answer")

    def close(self) -> None:
        """End the endpoint, and Serve on the Ray that it was told to use."""
        if self.endpoint is not None:
            self.endpoint.terminate()
            self.endpoint.wait()
            self.endpoint = None
            if "RAY_ADDRESS" in self.environment:
                from ray import serve

                serve.shutdown()


@pytest.fixture
def scraped(corpus: Path, clips: list[Path], tmp_path: Path) -> Path:
    """A folder with what the READMEs assume: scraped videos in two forms, and drafts."""
    folder = tmp_path / "here"
    (folder / "tiktoks").mkdir(parents=True)
    (folder / "scraped").mkdir()
    with (corpus / "posts.csv").open(encoding="utf-8", newline="") as file:
        posts = list(csv.DictReader(file))
    with (folder / "tiktoks" / "posts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS.values())
        writer.writeheader()
        writer.writerows({theirs: post[ours] for ours, theirs in COLUMNS.items()} for post in posts)
    (folder / "tiktoks" / "videos").symlink_to(corpus / "videos")
    for clip in clips[:2]:
        info = {"id": f"info-{clip.stem}", "ext": "mp4", "view_count": 10, "webpage_url": "https://example.com/v"}
        (folder / "scraped" / f"{clip.stem}.info.json").write_text(json.dumps(info))
        shutil.copy(clip, folder / "scraped" / f"{clip.stem}.mp4")
    shutil.copy(clips[2], folder / "draft.mp4")
    shutil.copy(clips[3], folder / "other.mp4")
    for number, colour in enumerate(("red", "blue"), 1):
        write_picture(folder / f"{number}.jpg", colour)
    write_tone(folder / "song.mp3")
    return folder


@pytest.fixture
def reader(
    scraped: Path, viral: Viral, website: Website, monkeypatch: pytest.MonkeyPatch, s3_root: str
) -> Iterator[Reader]:
    monkeypatch.chdir(scraped)
    bucket = s3_root.removesuffix(f"/{ODD_NAME}")
    for path in (scraped / "scraped").iterdir():
        Store.open(bucket).upload(path, f"scraped/{path.name}")
    substitutes = {
        "https://example.com/clip.mp4": website("video/clip.mp4"),
        "--allow-host example.com": "--allow-host 127.0.0.1",
        "s3://bucket/": f"{bucket}/",
    }
    reader = Reader(scraped, viral, substitutes)
    yield reader
    reader.close()


@pytest.mark.parametrize("readme", READMES)
def test_each_command_of_a_readme_ends_well(
    reader: Reader, readme: str, prepare: Callable[[Reader, str], None]
) -> None:
    prepare(reader, readme)
    for command in commands(readme):
        if command not in CHECKED_BY_CI and not command.startswith(ELSEWHERE):
            reader.run(command)


@pytest.fixture
def prepare(flow) -> Callable[[Reader, str], None]:
    """What a reader has done before: the endpoint's README assumes a root with a model.

    Its readers use the Ray that tests share, as on a cluster; those of the README of all start one, as newcomers do.
    """

    def make(reader: Reader, readme: str) -> None:
        if readme == "serve/README.md":
            import ray

            reader.environment["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
            root = reader.folder / "root"
            shutil.copytree(flow.store.root, root)
            (root / "models" / "fused").rename(root / "models" / "fusion")
            reader.environment["VIRAL_ROOT"] = str(root)
        if readme == "cluster/README.md":
            reader.run("viral ingest yt_dlp s3://bucket/scraped/ --root s3://bucket/tiktok")

    return make


def test_the_readme_is_short() -> None:
    assert (PROJECT / "README.md").stat().st_size <= 8_000


def test_no_readme_is_left_out() -> None:
    paths = (path.relative_to(PROJECT) for depth in ("", "*/", "*/*/") for path in PROJECT.glob(f"{depth}README.md"))
    found = {str(path) for path in paths if not path.parts[0].startswith(".")}
    # Those of client, monitor and the app are run by tests there; the others show benchmarks and formulas.
    others = {"bench": "tests", "client": "viral", "monitor": "viral", "trends": "viral", "app": "serve"}
    assert found - set(READMES) == {f"{above}/{name}/README.md" for name, above in others.items()}
