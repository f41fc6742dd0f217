"""matplotlib, and what imports it, without its font cache in the home directory."""

from __future__ import annotations

import os
import sys
import tempfile


def matplotlib_without_cache() -> None:
    """Imports matplotlib so that it leaves no file behind. Call it before importing matplotlib or torchmetrics.

    At its first import matplotlib writes a list of fonts below `$MPLCONFIGDIR` or the home directory, and torchmetrics
    imports it too. Here that folder is a temporary one, gone when this returns; a `$MPLCONFIGDIR` that is set is kept.
    """
    if "matplotlib.font_manager" in sys.modules or os.environ.get("MPLCONFIGDIR"):
        return
    with tempfile.TemporaryDirectory(prefix="viral-matplotlib-") as folder:
        os.environ["MPLCONFIGDIR"] = folder
        try:
            import matplotlib.font_manager  # noqa: F401 - for what its import does
        finally:
            del os.environ["MPLCONFIGDIR"]
