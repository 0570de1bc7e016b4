"""An agent: a model that calls tools in a loop, and asks a person before it gives money away.

    python examples/agent/model.py --port 8080 &
    python examples/agent/agent.py "I want my money back for order 17"     # stops at the refund, exit code 3
    orchestrator approvals                                                 # who is asked what
    orchestrator answer support refund yes                                 # and it goes on: `show support` has the end
    python examples/agent/agent.py "I want my money back for order 17"     # the same line again gives what came of it

Every answer of the model and of a tool is recorded before the next one is asked for. So an agent that was killed, or
waited for a week, pays for no completion twice: the loop runs again from the top, and what was said comes from the
journal. The model's "try again later" is met by `retry`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import httpx

from orchestrator import approve, current_attempt, pipeline, run, step
from orchestrator.errors import ExecutionWaitsError

Message = dict[str, Any]

CLIENT = httpx.Client(timeout=50)
ORDERS = {17: {"number": 17, "item": "kettle", "price": 39}, 18: {"number": 18, "item": "lamp", "price": 80}}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": text, "parameters": {"type": "object"}}}
    for name, text in (("find_order", "Look an order up."), ("refund", "Give the price of an order back."))
]


@step(retry={"max_attempts": 5, "initial_delay": 0.1, "on": ["network", "timeout", "resource"]}, timeout="60s")
def complete(url: str, messages: list[Message]) -> Message:
    """The next message of the model."""
    body = {"model": "script-1", "messages": messages, "tools": TOOLS}
    response = CLIENT.post(f"{url}/v1/chat/completions", json=body).raise_for_status()
    message: Message = response.json()["choices"][0]["message"]
    return message


@step
async def find_order(number: int) -> dict[str, Any]:
    """What was bought, and for how much."""
    return ORDERS[number]


@step(effect="ask")
async def refund(number: int, amount: int, ledger: Path) -> dict[str, Any]:
    """Give money back. Where nobody knows whether it was given, a person is asked, and not the bank again."""
    attempt = current_attempt()
    with ledger.open("a", encoding="utf-8") as file:
        file.write(f"{attempt.idempotency_key if attempt else ''} order {number}: {amount}\n")
    return {"refunded": amount}


@pipeline
async def support(url: str, wish: str, ledger: Path) -> str:
    """Talk to the model until it has nothing more to ask for."""
    messages: list[Message] = [
        {"role": "system", "content": "You answer the customers of a shop."},
        {"role": "user", "content": wish},
    ]
    for _ in range(10):
        message = await complete.aio(url, messages)
        messages.append(message)
        if not message.get("tool_calls"):
            return str(message["content"])
        for call in message["tool_calls"]:
            told = await use(call["function"]["name"], json.loads(call["function"]["arguments"]), ledger)
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(told)})
    raise RuntimeError("ten messages, and no answer")


async def use(name: str, arguments: dict[str, Any], ledger: Path) -> dict[str, Any]:
    """What a tool gives; the one that costs something only when a person agrees."""
    if name == "find_order":
        return await find_order(**arguments)
    question = f"Refund {arguments['amount']} euros for order {arguments['number']}?"
    said = await approve(question, name="refund", choices=["yes", "no"])
    if said["choice"] == "no":
        return {"refused": "the shop does not agree"}
    return await refund.with_key(arguments["number"])(**arguments, ledger=ledger)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("wish")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--id", default="support")
    parser.add_argument("--ledger", type=Path, default=Path("ledger.txt"))
    given = parser.parse_args()
    try:
        print(run(support.options(execution_id=given.id), given.url, given.wish, given.ledger.absolute()))
    except ExecutionWaitsError as waits:
        print(waits)
        sys.exit(3)
