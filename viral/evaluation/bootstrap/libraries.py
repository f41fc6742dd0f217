"""Import matplotlib without leaving its font cache in the home directory."""

from __future__ import annotations

import os
import sys
import tempfile


def matplotlib_without_cache() -> None:
    """Import matplotlib without leaving a file behind; call this before any other import of matplotlib.

    The first import of matplotlib writes a list of fonts to `$MPLCONFIGDIR` or the home directory. If the variable is
    not set, this function sets it to a temporary folder until it returns.
    """
    if "matplotlib.font_manager" in sys.modules or os.environ.get("MPLCONFIGDIR"):
        return
    with tempfile.TemporaryDirectory(prefix="viral-matplotlib-") as folder:
        os.environ["MPLCONFIGDIR"] = folder
        try:
            import matplotlib.font_manager  # noqa: F401 - the import writes the cache
        finally:
            del os.environ["MPLCONFIGDIR"]
