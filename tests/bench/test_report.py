"""Statistics of the benchmarks."""

from __future__ import annotations

from itertools import count

import pytest

from tests.bench.report import WITHIN_NOISE, describe, interleave, print_table, ratio, slope


def test_rounds_are_interleaved() -> None:
    number = count()
    samples = interleave(lambda: [(side, next(number)) for side in ("a", "b")], rounds=3)
    assert samples == {"a": [0, 2, 4], "b": [1, 3, 5]}


def test_a_difference_counts_only_beyond_the_spread() -> None:
    assert describe([0.2, 0.1, 0.3]) == "0.200 (0.100 to 0.300)"
    assert describe([-0.1, 0.1, 0.3]) == WITHIN_NOISE
    assert ratio([2.0, 2.2, 2.1], [1.0, 1.0, 1.1]) == "2.00 (1.91 to 2.20)"
    assert ratio([1.0, 1.2, 1.1], [1.1, 0.9, 1.3]) == WITHIN_NOISE


def test_a_slope_counts_only_beyond_the_scatter() -> None:
    assert slope([0, 1, 2, 3], [0.0, 1.1, 1.9, 3.0]) == pytest.approx(0.98, abs=0.02)
    assert slope([0, 1, 2, 3], [1.0, -1.0, 1.0, -1.0]) is None


def test_a_table_names_what_it_compares_with(capsys: pytest.CaptureFixture[str]) -> None:
    print_table({"plain": [2.0, 2.0, 2.1], "viral": [1.0, 1.0, 1.0]}, base="plain")
    *_, line = capsys.readouterr().out.splitlines()
    assert line.split() == ["viral", "1.000", "(1.000", "to", "1.000)", "0.50", "(0.48", "to", "0.50)", "of", "plain"]
