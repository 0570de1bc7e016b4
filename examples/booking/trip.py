"""Book a flight, a hotel and a car; when one of them cannot be had, take back what was booked.

    python examples/booking/services.py --port 8081 &           # the three services; no car is left
    python examples/booking/trip.py http://127.0.0.1:8081       # books two, fails at the car, takes both back
    orchestrator show trip                                      # what happened
    cat bookings.log                                            # what the services say of it

Kill it in the middle (`services.py --slow hotel` answers after a minute), and run the same line again: nothing is
booked twice. A booking that was under way is in doubt then: `effect` says to look first whether it has happened. The
services know each booking by `idempotency_key`, which is the same on every attempt.
"""

import argparse
from typing import Any

import httpx

from orchestrator import current_attempt, pipeline, run, step

CLIENT = httpx.Client(timeout=90)
SERVICES = ("flight", "hotel", "car")


class NothingLeftError(Exception):
    """The service has nothing left to book."""


def key() -> str:
    """What the services know this step by."""
    attempt = current_attempt()
    return attempt.idempotency_key.replace("/", ".") if attempt else "by-hand"


def is_booked(url: str, service: str) -> dict[str, Any]:
    """Whether the booking of a step in doubt has happened, and what its number is."""
    response = CLIENT.get(f"{url}/{service}/{key()}")
    if response.status_code == httpx.codes.NOT_FOUND:
        return {"happened": False}
    return {"happened": True, "output": response.raise_for_status().json()["number"]}


@step(retry={"max_attempts": 3, "on": ["network", "timeout"]}, effect={"verify": is_booked})
def book(url: str, service: str) -> str:
    """Book; the number of the booking."""
    response = CLIENT.post(f"{url}/{service}", headers={"Idempotency-Key": key()})
    if response.status_code == httpx.codes.CONFLICT:
        raise NothingLeftError(response.json()["error"])
    return str(response.raise_for_status().json()["number"])


@step(retry={"max_attempts": 10, "on": ["network", "timeout"]})
def take_back(url: str, service: str, number: str) -> None:
    """Take a booking back; doing so twice is the same as once."""
    CLIENT.delete(f"{url}/{service}/{number}").raise_for_status()


@pipeline
def trip(url: str) -> dict[str, str]:
    """All three, or nothing."""
    booked: dict[str, str] = {}
    try:
        for service in SERVICES:
            booked[service] = book.with_key(service)(url, service)
    except NothingLeftError as exc:
        for service, number in reversed(booked.items()):
            take_back.with_key(service)(url, service, number)
        return {"failed": str(exc)}
    return booked


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8081")
    parser.add_argument("--id", default="trip")
    given = parser.parse_args()
    print(run(trip.options(execution_id=given.id), given.url))
