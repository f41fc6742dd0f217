"""Alerts: an outbox in the root, and the channels that deliver it."""
