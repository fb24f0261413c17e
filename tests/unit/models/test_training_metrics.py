from __future__ import annotations

import numpy as np
import pytest

from model.training.metrics import choose_threshold, interval, score


def test_scores_are_those_of_the_leaving_class() -> None:
    """Precision, recall and F1 speak of leavers; a probability at the threshold is a leaver."""
    found = score(np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.9, 0.5, 0.3]), 0.5)
    assert (found["accuracy"], found["precision"], found["recall"], found["f1"]) == (0.6, 0.5, 0.5, 0.5)
    assert found["roc_auc"] == pytest.approx(4 / 6)
    assert found["brier"] == pytest.approx((0.01 + 0.04 + 0.81 + 0.25 + 0.49) / 5)


def test_nobody_flagged_is_a_precision_of_nothing() -> None:
    """No warning, no error, where the threshold is above all scores."""
    found = score(np.array([0, 1]), np.array([0.1, 0.2]), 0.9)
    assert found["precision"] == found["f1"] == 0.0


def test_a_clean_cut_is_found() -> None:
    """Where the classes do not overlap, the threshold takes all leavers and no stayer."""
    assert choose_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.7, 0.8])) == 0.7


def test_of_equal_thresholds_the_highest_is_taken() -> None:
    """On a flat top of F1, fewer people are flagged."""
    labels = np.array([1] * 100 + [0, 1] + [0] * 100)
    scores = np.linspace(1, 0, len(labels))
    assert choose_threshold(labels, scores) > scores[100]


def test_the_interval_of_few_splits_ends_at_0_and_1() -> None:
    """Two splits that differ say next to nothing, but never that a share may lie below 0 or above 1."""
    assert (interval([0.4, 0.9], test_share=0.2).low, interval([0.4, 0.9], test_share=0.2).high) == (0.0, 1.0)


def test_the_interval_holds_the_mean_and_is_wider_than_the_naive_one() -> None:
    """Splits share rows, so the interval must not shrink with their number as if they did not."""
    values = [0.8, 0.82, 0.84, 0.86] * 10
    found = interval(values, test_share=0.2)
    assert found.low < found.mean < found.high
    naive = 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5
    assert found.high - found.mean > 2 * naive
