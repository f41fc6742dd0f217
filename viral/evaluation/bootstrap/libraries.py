"""Import matplotlib without leaving its font cache in the home directory."""

from __future__ import annotations

import os
import sys
import tempfile


def matplotlib_without_cache() -> None:
    """Import matplotlib without leaving a file behind. Call it before any other import of matplotlib.

    On its first import matplotlib writes a list of fonts below `$MPLCONFIGDIR` or the home directory. Here that folder
    is temporary and deleted on return; a `$MPLCONFIGDIR` that is set stays in use.
    """
    if "matplotlib.font_manager" in sys.modules or os.environ.get("MPLCONFIGDIR"):
        return
    with tempfile.TemporaryDirectory(prefix="viral-matplotlib-") as folder:
        os.environ["MPLCONFIGDIR"] = folder
        try:
            import matplotlib.font_manager  # noqa: F401 - the import writes the cache
        finally:
            del os.environ["MPLCONFIGDIR"]
