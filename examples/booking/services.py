"""Three services to book at, for `trip.py`: flight, hotel and car, on one port of this machine.

    python examples/booking/services.py --port 8081 --stock flight=3 hotel=3 car=0

`POST /hotel` with the header `Idempotency-Key` books and gives a number; the same key again gives the same number.
`GET /hotel/KEY` says what was booked under a key, `DELETE /hotel/NUMBER` takes a booking back. Every booking and every
cancellation is a line in `--log`. `--slow hotel` books at once and answers after a minute: kill the client meanwhile.
"""

import argparse
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any


class Desk:
    """What was booked at the services."""

    def __init__(self, stock: dict[str, int], log: Path) -> None:
        self._stock, self._log, self._lock = stock, log, Lock()
        self._booked: dict[tuple[str, str], str] = {}

    def book(self, service: str, key: str) -> str | None:
        """The number of the booking under this key; None where nothing is left."""
        with self._lock:
            if (service, key) not in self._booked:
                if not self._stock.get(service):
                    return None
                self._stock[service] -= 1
                self._booked[service, key] = f"{service[0].upper()}{len(self._booked) + 1}"
                self._note(f"booked {service} {self._booked[service, key]}")
            return self._booked[service, key]

    def look(self, service: str, key: str) -> str | None:
        """The number that was booked under this key."""
        return self._booked.get((service, key))

    def take_back(self, service: str, number: str) -> None:
        """Take a booking back; a second time changes nothing."""
        with self._lock:
            for place in [place for place, known in self._booked.items() if known == number]:
                del self._booked[place]
                self._stock[service] += 1
                self._note(f"took back {service} {number}")

    def _note(self, line: str) -> None:
        with self._log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def serve(port: int, desk: Desk, slow: str) -> ThreadingHTTPServer:
    """The server, which is yet to be started."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            service = self.path.strip("/")
            number = desk.book(service, self.headers["Idempotency-Key"])
            if service == slow and number:
                time.sleep(60)
            self._answer({"number": number} if number else {"error": f"no {service} left"}, 200 if number else 409)

        def do_GET(self) -> None:
            service, _, key = self.path.strip("/").partition("/")
            number = desk.look(service, key)
            self._answer({"number": number}, 200 if number else 404)

        def do_DELETE(self) -> None:
            desk.take_back(*self.path.strip("/").split("/"))
            self._answer({}, 200)

        def _answer(self, body: dict[str, Any], status: int) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--stock", nargs="*", default=["flight=3", "hotel=3", "car=0"])
    parser.add_argument("--log", type=Path, default=Path("bookings.log"))
    parser.add_argument("--slow", default="")
    given = parser.parse_args()
    stock = {name: int(count) for name, _, count in (word.partition("=") for word in given.stock)}
    server = serve(given.port, Desk(stock, given.log), given.slow)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
