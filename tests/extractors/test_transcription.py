"""How Whisper runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import PROJECT
from tests.extractors.tiny_speech import SILENCES

THREADS = """
import sys
from pathlib import Path
import torch
from viral.extractors.transcription import TRACK, Transcriber
from viral.media.audio import read_audio
from viral.media.limits import MediaLimits

samples, before = read_audio(sys.argv[1], TRACK.rate, MediaLimits()).samples, []
torch.set_num_threads(int(sys.argv[3]))
transcriber = Transcriber(Path(sys.argv[2]), "cpu", None, "float32")
count = lambda: sum(1 for _ in Path("/proc/self/task").iterdir())
started = count()
transcriber._detect_language(samples)  # its threads start with its first work
print(count() - started)
"""


def test_whisper_computes_on_as_many_threads_as_torch(whisper: Path, cases: Path) -> None:
    """In processes of their own: in this one the threads of other tests would be used again."""
    grown = []
    for threads in ("1", "3"):
        command = [sys.executable, "-c", THREADS, str(cases / SILENCES), str(whisper), threads]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT)
        grown.append(int(done.stdout.splitlines()[-1]))
    assert grown[1] - grown[0] == 2
