"""The `viral` command line, with the demo and the endpoint."""
