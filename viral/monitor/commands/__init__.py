"""The commands below `viral monitor`."""
