"""Training curves and MLflow."""
