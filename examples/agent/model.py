"""A model to talk to, for `agent.py`: it speaks as OpenAI's chat completions do, and has read one script.

    python examples/agent/model.py --port 8080

It looks an order up, asks for the refund of it, and says what came of that. `--log` has a line for each completion that
was begun, so that one can count what a real model would charge for; one takes `--pace` seconds. Of every three requests
the first is answered with "503: try again later", as real models do on a busy day.
"""

import argparse
import itertools
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Message = dict[str, Any]


def completion(messages: list[Message]) -> Message:
    """The next message of the assistant."""
    told = [json.loads(message["content"]) for message in messages if message["role"] == "tool"]
    if not told:
        return call("find_order", {"number": 17})
    if len(told) == 1:
        return call("refund", {"number": told[0]["number"], "amount": told[0]["price"]})
    if "refused" in told[1]:
        return {"role": "assistant", "content": f"I am sorry: {told[1]['refused']}"}
    return {"role": "assistant", "content": f"You have your {told[1]['refunded']} euros back."}


def call(name: str, arguments: dict[str, Any]) -> Message:
    """A message that asks for a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": f"call_{name}", "type": "function", "function": function}],
    }


def serve(port: int, log: Path, pace: float) -> ThreadingHTTPServer:
    """The server, which is yet to be started."""
    requests = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if next(requests) % 3 == 0:
                self._answer(503, {"error": {"message": "try again later"}})
                return
            with log.open("a", encoding="utf-8") as file:
                file.write(f"completion after {len(body['messages'])} messages\n")
            time.sleep(pace)
            message = completion(body["messages"])
            self._answer(200, {"object": "chat.completion", "choices": [{"index": 0, "message": message}]})

        def _answer(self, status: int, body: dict[str, Any]) -> None:
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
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--log", type=Path, default=Path("completions.log"))
    parser.add_argument("--pace", type=float, default=0.0)
    given = parser.parse_args()
    server = serve(given.port, given.log, given.pace)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
