"""Remind everybody who has not paid."""

import csv
import os
import time
from pathlib import Path

PACE = float(os.environ.get("PACE", "1"))
INVOICES = Path(__file__).parent / "invoices.csv"
OUTBOX = Path("outbox.txt")


def unpaid() -> list[dict[str, str]]:
    """The invoices."""
    with INVOICES.open(newline="") as file:
        return list(csv.DictReader(file))


def letter(name: str, amount: str) -> str:
    """What to write; takes its time."""
    print("writing to", name)
    time.sleep(PACE)
    return f"Dear {name}, you owe us {amount} euros."


def send(address: str, text: str) -> None:
    """Send a letter: here, a line in a file."""
    with OUTBOX.open("a") as file:
        file.write(f"{address}: {text}\n")


def remind() -> int:
    """A letter for each invoice."""
    invoices = unpaid()
    for invoice in invoices:
        text = letter(invoice["name"], invoice["amount"])
        send(invoice["email"], text)
    return len(invoices)


if __name__ == "__main__":
    print(remind(), "letters")
