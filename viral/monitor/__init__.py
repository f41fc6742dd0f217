"""The monitor: watches feeds for named targets, and alerts with evidence."""
