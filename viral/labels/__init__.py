"""Counts to targets: one definition a file."""
