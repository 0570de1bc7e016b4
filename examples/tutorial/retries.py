"""Remind everybody who has not paid: a server that is busy is tried again, an address that is wrong is told."""

import csv
import os
import time
from pathlib import Path

from orchestrator import current_attempt, pipeline, run, step

PACE = float(os.environ.get("PACE", "1"))
INVOICES = Path(__file__).parent / "invoices.csv"
OUTBOX = Path("outbox.txt")


@step
def unpaid() -> list[dict[str, str]]:
    """The invoices."""
    with INVOICES.open(newline="") as file:
        return list(csv.DictReader(file))


@step
def letter(name: str, amount: str) -> str:
    """What to write; takes its time."""
    print("writing to", name)
    time.sleep(PACE)
    return f"Dear {name}, you owe us {amount} euros."


@step(retry={"max_attempts": 5, "initial_delay": 0.1, "on": ["network", "timeout"]}, timeout="10s")
def send(address: str, text: str) -> None:
    """Send a letter: here, a line in a file. Bob's server is busy at first."""
    if "@" not in address:
        raise ValueError(f"{address} is no address")
    attempt = current_attempt()
    if address.startswith("bob") and attempt is not None and attempt.attempt < 3:
        print("the server of", address, "is busy")
        raise ConnectionError("busy, try again later")
    with OUTBOX.open("a") as file:
        file.write(f"{address}: {text}\n")


@pipeline
def remind() -> list[str]:
    """A letter for each invoice; what could not be sent."""
    unsent = []
    for invoice in unpaid():
        text = letter(invoice["name"], invoice["amount"])
        try:
            send(invoice["email"], text)
        except ValueError as exc:
            unsent.append(str(exc))
    return unsent


if __name__ == "__main__":
    print("not sent:", run(remind.options(execution_id="july")))
