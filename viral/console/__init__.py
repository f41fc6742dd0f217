"""The command line: options, output, command groups."""
