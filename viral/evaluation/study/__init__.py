"""One corpus under every split."""
