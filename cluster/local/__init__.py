"""A cluster of several hosts on one machine, in network and process namespaces."""
