"""Remind everybody who has not paid, after a person has looked at the letters."""

import csv
import os
import sys
import time
from pathlib import Path

from orchestrator import approve, pipeline, run, step
from orchestrator.errors import ExecutionWaitsError

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
    """Send a letter: here, a line in a file."""
    if "@" not in address:
        raise ValueError(f"{address} is no address")
    with OUTBOX.open("a") as file:
        file.write(f"{address}: {text}\n")


@pipeline
def remind() -> list[str]:
    """All letters, a look at them, and out they go; what could not be sent."""
    invoices = unpaid()
    letters = [letter(invoice["name"], invoice["amount"]) for invoice in invoices]
    said = approve(f"Send {len(letters)} letters, the first one {letters[0]!r}?", name="look", choices=["send", "hold"])
    if said["choice"] == "hold":
        return [f"held by {said['by']}"]
    unsent = []
    for invoice, text in zip(invoices, letters, strict=True):
        try:
            send(invoice["email"], text)
        except ValueError as exc:
            unsent.append(str(exc))
    return unsent


if __name__ == "__main__":
    try:
        print("not sent:", run(remind.options(execution_id="august")))
    except ExecutionWaitsError as waits:
        print(waits)
        sys.exit(3)
