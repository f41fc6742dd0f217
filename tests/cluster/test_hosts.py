"""Simulated hosts."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from cluster.local.hosts import HostNetwork

WITHIN = 30.0  # seconds


def test_a_host_that_is_just_made_loses_only_what_runs_on_it(machine: None, tmp_path: Path) -> None:
    network = HostNetwork(f"h{os.getpid()}", tmp_path, "10.76.0")
    network.create()
    try:
        for number in range(1, 9):
            host = network.host(number)
            assert (host.kill(), host.runs()) == (0, True)
        sleeping = host.start("sleep", "60", env=os.environ)
        while not any("sleep 60" in line for line in host.processes().values()):
            time.sleep(0.05)
        assert host.kill() >= 1
        assert (sleeping.wait(WITHIN), host.runs()) == (-signal.SIGKILL, True)
    finally:
        network.remove()
