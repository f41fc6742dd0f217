"""The scorecard: figures, plots and the HTML page."""
