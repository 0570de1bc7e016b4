"""Try several settings of a classifier side by side, and give each up as soon as it gets no better.

    python examples/sweep/sweep.py                    # handwritten digits, four rates, a table at the end
    python examples/sweep/sweep.py --id slow --pace 1 # a second per epoch: kill it, and run the same line again
    orchestrator show slow                            # which epochs of which rate there were

An epoch is a step. Its output has the weights, as arrays, so that after a crash training goes on with the last epoch
and not with the first. Each rate is trained by a pipeline of its own inside of the sweep, under the key of its rate;
`gather` runs them side by side, and each ends by itself.
"""

import argparse
import asyncio
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

from orchestrator import pipeline, run, step


@dataclass(frozen=True)
class Epoch:
    """What an epoch of training came to."""

    score: float
    weights: NDArray[np.float64]
    offsets: NDArray[np.float64]


@dataclass(frozen=True)
class Trained:
    """What a rate came to: its best score, and after how many epochs it was given up."""

    rate: float
    score: float
    epochs: int


@cache
def digits() -> list[Any]:
    """The pictures to learn from and to test with, and what they show: read once in each process."""
    read: Any = load_digits()
    split: list[Any] = train_test_split(read.data / 16, read.target, random_state=7)
    return split


@step
def train(rate: float, before: Epoch | None, pace: float) -> Epoch:
    """One more epoch, from the weights of the one before."""
    time.sleep(pace)
    x, x_test, y, y_test = digits()
    model = SGDClassifier(
        learning_rate="constant", eta0=rate, max_iter=1, tol=None, shuffle=False, random_state=7, n_jobs=1
    )
    start = {} if before is None else {"coef_init": before.weights, "intercept_init": before.offsets}
    model.fit(x, y, **start)
    return Epoch(float(model.score(x_test, y_test)), model.coef_, model.intercept_)


@pipeline
async def candidate(rate: float, most: int, patience: int, pace: float) -> Trained:
    """Train with one rate until so many epochs have brought nothing."""
    best, best_at, epoch = 0.0, 0, None
    for number in range(1, most + 1):
        epoch = await train.aio(rate, epoch, pace)
        if epoch.score > best:
            best, best_at = epoch.score, number
        elif number - best_at >= patience:
            return Trained(rate, best, number)
    return Trained(rate, best, most)


@pipeline
async def sweep(rates: list[float], most: int = 12, patience: int = 2, pace: float = 0.0) -> list[Trained]:
    """All rates side by side; the best first."""
    found = await asyncio.gather(*(candidate.with_key(rate)(rate, most, patience, pace) for rate in rates))
    return sorted(found, key=lambda one: one.score, reverse=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rates", type=float, nargs="*", default=[0.001, 0.01, 0.1, 1.0])
    parser.add_argument("--id", default="sweep")
    parser.add_argument("--pace", type=float, default=0.0)
    given = parser.parse_args()
    for one in run(sweep.options(execution_id=given.id), given.rates, pace=given.pace):
        print(f"rate {one.rate:<6} {one.score:.3f} after {one.epochs} epochs")
