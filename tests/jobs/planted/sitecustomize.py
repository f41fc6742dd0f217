"""Found on `PYTHONPATH`, it makes a decoding child misbehave on files that are named for it, as hostile files do."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

TARGET = "viral.media.decode"


def misbehave(path: str) -> None:
    """Do what the file's name begins with."""
    match Path(path).stem.partition("-")[0]:
        case "segfault":
            ctypes.string_at(0)
        case "exit":
            os._exit(7)
        case "hang":
            time.sleep(3600)
        case "wait":  # until there is a file of the same name with another ending
            while not Path(path).with_suffix(".go").exists():
                time.sleep(0.1)
        case "eat":
            held = []
            while True:
                held.append(bytearray(64 << 20))


class Planted(Loader):
    """Loads the decoder as it is, and puts the misbehaviour before it."""

    def __init__(self, real: Loader) -> None:
        self.real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.real.exec_module(module)
        decode = module.decode

        def planted(source: Any, plan: Any, limits: Any) -> Any:
            if isinstance(source, str):  # the other source is a photo set
                misbehave(source)
            return decode(source, plan, limits)

        module.decode = planted


class Finder(MetaPathFinder):
    """In the decoding child alone: the parent's decoder is only a name that it sends."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != TARGET or "viral.media.child" not in sys.orig_argv:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec and spec.loader:
            spec.loader = Planted(spec.loader)
        return spec


sys.meta_path.insert(0, Finder())
