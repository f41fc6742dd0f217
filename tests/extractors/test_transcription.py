"""How Whisper runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.media.streams import write_tone

THREADS = """
import sys
from pathlib import Path
import torch
from viral.extractors.transcription import TRACK, Transcriber
from viral.media.audio import read_audio
from viral.media.limits import MediaLimits

def running():
    return sum(1 for _ in Path("/proc/self/task").iterdir())

samples = read_audio(sys.argv[1], TRACK.rate, MediaLimits()).samples
for threads in (1, 3):
    torch.set_num_threads(threads)
    transcriber = Transcriber(Path(sys.argv[2]), "cpu", None, "float32")
    before = running()
    transcriber._detect_language(samples)  # its threads start with its first work
    print(running() - before)
"""


@pytest.mark.slow
def test_whisper_computes_on_more_threads_where_torch_does(whisper: Path, tmp_path: Path) -> None:
    """In a process of its own: in this one the threads of other tests would be used again."""
    single = {**os.environ, "OMP_NUM_THREADS": "1"}  # until torch is told otherwise
    command = [sys.executable, "-c", THREADS, write_tone(tmp_path / "tone.wav"), str(whisper)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT, env=single)
    one, three = map(int, done.stdout.split()[-2:])
    assert three > one  # by two on some processors; on others a thread of torch is used again
