"""A command of this machine as a job of a cluster: its arguments, the files that they name, its id."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import viral
from viral.config import DEFAULT_FILE, PREFIX
from viral.console.options import check_absolute
from viral.errors import ConfigError

MAX_FILE_BYTES = 100_000_000
"""Of the files of a submission: the head keeps them in memory. More belongs on the object storage."""
_ID_CHARACTERS = 10  # hexadecimal: 40 bits tell apart far more commands than a cluster remembers
_ENTRY = "cluster.submitting.entry"
_SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD")  # Ray's dashboard shows the variables of a job
_CODE = ("viral", "jobs", "serve", "cluster")


@dataclass(frozen=True)
class Submission:
    """A command to run on a cluster.

    Args:
        arguments: of `viral`, with the files that travel by their names on the cluster.
        files: files of this machine by their name in the job's working directory.
        settings: variables of the environment that are settings of the product.
    """

    arguments: tuple[str, ...]
    files: Mapping[str, Path]
    settings: Mapping[str, str]

    @property
    def name(self) -> str:
        """Name of the command and hash of its arguments, files and settings: equal for equal submissions."""
        digest = hashlib.sha256(json.dumps([self.arguments, sorted(self.settings.items())]).encode())
        for name, path in sorted(self.files.items()):
            for file in _files_of(path):
                digest.update(f"\0{name}/{file.relative_to(path)}\0".encode())
                with file.open("rb") as content:
                    digest.update(hashlib.file_digest(content, "sha256").digest())
        return f"viral-{self.arguments[0]}-{digest.hexdigest()[:_ID_CHARACTERS]}"

    @property
    def entrypoint(self) -> str:
        """The shell command of the job."""
        # -P: what lies in the working directory of the node must not take the place of a package.
        return shlex.join(["python", "-P", "-m", _ENTRY, viral.__version__, *self.arguments])

    def copy_files(self, folder: Path) -> None:
        """Copy the files into a new `folder`, which becomes the job's working directory."""
        folder.mkdir()
        for name, path in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, folder / name)
            else:
                shutil.copyfile(path, folder / name)

    def runtime_env(self, folder: Path, *, with_code: bool) -> dict[str, Any]:
        """Return Ray's runtime environment of the job; `with_code` sends the code of this machine."""
        environment: dict[str, Any] = {"env_vars": dict(self.settings)}
        if self.files:
            environment["working_dir"] = str(folder)
        if with_code:
            code = Path(viral.__file__).parent.parent
            environment["py_modules"] = [str(code / name) for name in _CODE]
            environment["excludes"] = ["**/__pycache__"]
        return environment


def create_submission(command: str, arguments: Sequence[str], root: str | None) -> Submission:
    """Create the submission of `viral COMMAND ARGUMENTS`.

    Files travel with it where an argument is their relative path. Absolute paths are those of the cluster.

    Args:
        command: name of the command.
        arguments: of the command, without `--root`.
        root: the root, which every node of the cluster must see; None for a command without one.

    Raises:
        ConfigError: the root is relative, or the files are too large.
    """
    files: dict[str, Path] = {}
    sent = [command, *(_sent(argument, files) for argument in arguments)]
    if root is not None:
        check_absolute(root)
        sent += ["--root", root]
    if Path(DEFAULT_FILE).is_file():
        files[DEFAULT_FILE] = Path(DEFAULT_FILE)
    size = sum(file.stat().st_size for path in files.values() for file in _files_of(path))
    if size > MAX_FILE_BYTES:
        raise ConfigError(
            f"the files that the arguments name have {size / 1e6:,.0f} MB, and at most {MAX_FILE_BYTES / 1e6:.0f} "
            "travel with a job: copy them to the object storage, and name them there"
        )
    return Submission(tuple(sent), files, _settings())


def _sent(argument: str, files: dict[str, Path]) -> str:
    """Return the argument as the job gets it; if it is the relative path of a file or folder, add that to `files`."""
    option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    if argument.startswith("-") and not equals:
        return argument
    path = Path(value)
    # A bare word such as `fusion` may name a model as well as a folder: only what looks like a path counts.
    looks_like_path = os.sep in value or path.suffix
    if path.is_absolute() or not looks_like_path or "://" in value or not path.exists():
        return argument
    if path.resolve() == Path.cwd() or path.resolve() in Path.cwd().parents:
        raise ConfigError(f"{value} is the folder of this command or above it: name the files that the job needs")
    name = next((name for name, other in files.items() if other == path), f"{len(files)}/{path.name}")
    files[name] = path
    return f"{option}{equals}{name}"


def _files_of(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _settings() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name.upper().startswith(PREFIX)
        and name != "VIRAL_ROOT"
        and not any(secret in name.upper() for secret in _SECRETS)
    }
