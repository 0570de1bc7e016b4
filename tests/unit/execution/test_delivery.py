"""Handlers and their delivery."""

from __future__ import annotations

import sys
import threading

from orchestrator.execution.delivery import Delivery, Handlers


def test_no_subscription_is_lost_and_none_stays_when_threads_come_and_go() -> None:
    handlers: Handlers[int] = Handlers()
    start = threading.Barrier(8)

    def come_and_go() -> None:
        start.wait()
        for _ in range(3000):
            handlers.add(lambda _: None)()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=come_and_go) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(handlers) == 0


def test_a_handler_that_raises_is_counted_and_the_next_is_called() -> None:
    handlers: Handlers[int] = Handlers()
    seen: list[int] = []

    def bad(_: int) -> None:
        raise ValueError("no")

    handlers.add(bad)
    handlers.add(seen.append)
    handlers(1)
    handlers(2)
    assert seen == [1, 2]
    assert handlers.faults == 2


def test_calls_are_made_in_order_also_when_a_call_queues_more() -> None:
    delivery, seen = Delivery(), []

    def first() -> None:
        delivery.put(seen.append, "third")
        delivery.run()
        seen.append("first")

    delivery.put(first)
    delivery.put(seen.append, "second")
    delivery.run()
    assert seen == ["first", "second", "third"]
