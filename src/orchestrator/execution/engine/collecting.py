"""Garbage collection, put off while a great many objects are made of which none is garbage.

A journal of thousands of entries, or a plan of thousands of steps, is made in one go and stays. The collector, which
runs by how many objects are made, would look through all of them again and again: a fifth of the time. It is put off
for as long as that takes, some tens of milliseconds, and only where it was on.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """The block without the garbage collector; of blocks in several threads the first to end turns it on again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
