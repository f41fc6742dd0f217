"""Ensembles of classical models (regression, trees, SVM, nearest neighbours), weighted on validation data."""
