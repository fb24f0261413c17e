"""The order in which a worker takes from its queues."""

from __future__ import annotations

from collections import Counter

from worker.celery.queue_order import QueueOrder


def test_queues_are_served_in_turns_after_single_predictions() -> None:
    """Of three queues that all have messages, each gives as many; single predictions come first at any time."""
    order = QueueOrder(["bulk", "bulk:skops", "interactive", "bulk:onnx", "interactive:onnx"])
    taken: Counter[str] = Counter()
    for _ in range(30):
        names = order.consume(5)
        assert names[:2] in (["interactive", "interactive:onnx"], ["interactive:onnx", "interactive"])
        taken[names[2]] += 1
        order.rotate(names[2])
    assert taken == {"bulk": 10, "bulk:skops": 10, "bulk:onnx": 10}
