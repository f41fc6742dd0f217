"""What Prometheus scrapes, Grafana shows and alerts say of a cluster: generated from `panels` and `alerts`."""
