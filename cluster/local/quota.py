"""Limits on the cores that a group of processes gets, by Linux's control groups of either version."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from viral.errors import ConfigError

_ROOT = Path("/sys/fs/cgroup")
_PERIOD = 100_000  # microseconds, the kernel's default


def limit(name: str, cores: float | None = None) -> Path | None:
    """Return the file into which the processes of a group write their id, None if there is no such group.

    Args:
        name: of the group.
        cores: make the group, of which all processes together get so many cores.

    Raises:
        ConfigError: this machine does not let us.
    """
    group = _parent() / name
    if cores:
        quota = round(cores * _PERIOD)
        try:
            if _parent() == _ROOT:
                (_ROOT / "cgroup.subtree_control").write_text("+cpu")
            group.mkdir(exist_ok=True)
            if _parent() == _ROOT:
                (group / "cpu.max").write_text(f"{quota} {_PERIOD}")
            else:
                (group / "cpu.cfs_period_us").write_text(f"{_PERIOD}")
                (group / "cpu.cfs_quota_us").write_text(f"{quota}")
        except OSError as error:
            raise ConfigError(f"this machine lets us limit no cores ({error}): leave out --cores") from error
    return group / "cgroup.procs" if group.exists() else None


def unlimit(name: str) -> None:
    """Delete a group, whose processes have ended."""
    with suppress(OSError):
        (_parent() / name).rmdir()


def _parent() -> Path:
    """Of all groups: version 2 has one tree, version 1 one for each resource."""
    return _ROOT if (_ROOT / "cgroup.controllers").exists() else _ROOT / "cpu"
