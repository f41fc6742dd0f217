"""A target that was trained once per run: a drawn logo, in clips of the synthetic corpus."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import pytest

from tests.conftest import MadeOnce
from tests.monitor.drawn_logo import plant
from viral.monitor.commands.target import command as target_command

START, SECONDS = 1.0, 1.6
"""When the planted videos show the logo."""


@pytest.fixture(scope="session")
def watched(made_once: MadeOnce, clips: list[Path]) -> Path:
    """A folder with a root that has the target `logo`; videos with it in `shown`, without it in `clean`. Read only."""
    from click.testing import CliRunner

    def make(folder: Path) -> None:
        for name in ("root", "examples", "negatives", "shown", "clean"):
            (folder / name).mkdir()
        for i, clip in enumerate(clips[:6]):
            shutil.copy(clip, folder / "negatives" / f"{i}.mp4")
        for i, clip in enumerate(clips[6:11]):
            video = plant(clip, folder / "example.mp4", "logo", START, SECONDS, seed=i)
            with av.open(str(video)) as file:
                frame = next(frame for frame in file.decode(video=0) if (frame.time or 0) >= START + 0.3)
                frame.to_image().save(folder / "examples" / f"{i}.png")
        (folder / "example.mp4").unlink()
        for i, clip in enumerate(clips[11:13]):
            plant(clip, folder / "shown" / f"{i}.mp4", "logo", START, SECONDS, seed=20 + i)
        for clip in clips[13:15]:
            shutil.copy(clip, folder / "clean" / clip.name)
        folders = ("--examples", folder / "examples", "--negatives", folder / "negatives")
        options = ("add", "logo", *folders, "--purpose", "test", "--root", folder / "root")
        result = CliRunner().invoke(target_command, [str(option) for option in options], catch_exceptions=False)
        assert result.exit_code == 0, result.output

    return made_once("watched", make)
