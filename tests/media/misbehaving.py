"""Decode functions that do what hostile files make decoders do; children import this by name."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path

from viral.media.child import HEADER
from viral.media.limits import MediaLimits
from viral.media.media import Facts, Media
from viral.media.plan import SamplingPlan


def misbehave(path: str, plan: SamplingPlan, limits: MediaLimits) -> Media:
    """Does what the file's name says."""
    match Path(path).name:
        case "segfault":
            ctypes.string_at(0)
        case "exit":
            os._exit(7)
        case "hang":
            time.sleep(3600)
        case "eat":
            return Media(Facts(bytes=len(bytearray(1 << 40))))
        case "bad_alloc":
            print("terminate called after throwing an instance of 'std::bad_alloc'", file=sys.stderr, flush=True)
            os.abort()
        case "stutter":  # the head of an answer, and no more
            os.write(int(sys.argv[1]), HEADER.pack(100) + b"half")
            time.sleep(3600)
        case "huge":
            os.write(int(sys.argv[1]), HEADER.pack(1 << 50))
        case "nonsense":
            os.write(int(sys.argv[1]), HEADER.pack(8) + b"nonsense")
        case "raise":
            raise LookupError("a fault of our own")
        case "modules":
            return Media(Facts(container=" ".join(sorted(sys.modules))))
        case "environment":
            return Media(Facts(container=" ".join(sorted(os.environ))))
    return Media(Facts(bytes=os.getpid()))


class Foreign:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch taken_over",)


def answer_with_code(path: str, plan: SamplingPlan, limits: MediaLimits) -> Media:
    """What a decoder that was taken over might send."""
    return Media(Facts(container=Foreign()))
