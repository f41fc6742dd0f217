"""Parts of `viral study`."""
