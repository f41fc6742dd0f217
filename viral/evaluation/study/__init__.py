"""Studies: one corpus under every split."""
