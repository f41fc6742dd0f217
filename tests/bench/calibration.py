"""Coverage and calibration error over simulated corpora with author effects.

`python tests/bench/calibration.py [--draws 200]`. Of each corpus, 30, 100 or 300 authors calibrate and 300 others
test. `before` is one conformal shift per end that ignores the authors, as in earlier versions. The error of perfect
calibration is that of labels drawn from the calibrated probabilities themselves, for the same posts.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from tests.scoring.simulated_authors import AuthorSample, calibrate_sample, covered, draw_authors
from viral.evaluation.bootstrap.metrics import classification
from viral.scoring.calibration import Calibration


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20)
    args = parser.parse_args()
    print("authors  method   per post  per author   one in ten below   width    ECE  perfect")
    for authors in (30, 100, 300):
        rng = np.random.default_rng(authors)
        rows: dict[str, list[tuple[float, ...]]] = {"before": [], "now": []}
        for _ in range(args.draws):
            sample, test = draw_authors(rng, authors), draw_authors(rng, 300)
            now = calibrate_sample(sample)
            for name, calibration in (("before", before(now, sample)), ("now", now)):
                rows[name].append((*covered(calibration, test), *errors(calibration, test, rng)))
        for name, figures in rows.items():
            post, author, width, ece, perfect = np.mean(figures, axis=0)
            worst = np.quantile(np.array(figures)[:, :2], 0.1, axis=0)
            print(
                f"{authors:>7}  {name:<7}{post:>10.3f}{author:>12.3f}{worst[0]:>11.3f} {worst[1]:.3f}{width:>10.2f}"
                f"{ece:>8.3f}{perfect:>9.3f}",
                flush=True,
            )


def before(now: Calibration, sample: AuthorSample) -> Calibration:
    """The intervals of earlier versions: the order statistic of all posts, authors ignored."""
    rank = int(np.ceil(0.95 * (len(sample.y) + 1))) - 1
    below, above = (np.sort(e)[rank] for e in (sample.quantiles[:, 0] - sample.y, sample.y - sample.quantiles[:, 2]))
    return replace(now, below=float(below), above=float(above), levels=(), slope=1.0, intercept=0.0)


def errors(calibration: Calibration, test: AuthorSample, rng: np.random.Generator) -> tuple[float, float]:
    """Expected calibration error, and that of perfect calibration."""
    probability = calibration.probability(test.probability)
    found = classification(test.viral, probability)["ece"]
    perfect = classification(rng.random(len(probability)) < probability, probability)["ece"]
    return float(found or 0), float(perfect or 0)


if __name__ == "__main__":
    main()
