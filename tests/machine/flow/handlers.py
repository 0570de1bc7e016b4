"""The handlers of the random pipelines, and the world that they act in and leave their traces in.

The world is no part of the store: what stands here was witnessed, whatever the journal says. A handler notes its start
and its end, so that a second run of something that had succeeded, two runs at once, or more items of a loop at a time
than its window allows are seen at the moment they happen.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.machine.flow import scripted
from tests.machine.flow.clock import PatientClock
from tests.machine.flow.places import Made

from orchestrator import current_attempt

MODULE = __name__
_ITEM = re.compile(r"\[(\d+)\]")


class Call(NamedTuple):
    """One trace. `phase` is start, end, fail (the script said so) or cancelled."""

    key: str
    generation: int
    attempt: int
    phase: str
    status: Any = None


@dataclass
class World:
    """What the handlers of one trial see and leave; `windows` and `effects` as in `places.Made`."""

    clock: PatientClock = field(default_factory=lambda: PatientClock(0.0))
    repaired: bool = False
    windows: Mapping[str, int] = field(default_factory=dict)
    effects: Mapping[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    #: (key, generation) whose success was recorded, as the engine's subscribers and the journal told.
    succeeded: set[tuple[str, int]] = field(default_factory=set)
    active: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, key: str, generation: int, attempt: int, status: Any) -> None:
        """A handler begins."""
        with self._lock:
            if (key, generation) in self.succeeded:
                self.faults.append(f"{key} (generation {generation}) succeeded and is run again")
            if self.active[key]:
                self.faults.append(f"{key} runs twice at once")
            self._look_at_effects(key, generation, attempt)
            self.active[key] += 1
            self.calls.append(Call(key, generation, attempt, "start", status))
            self._look_at_windows(key)

    def leave(self, key: str, generation: int, attempt: int, phase: str) -> None:
        """A handler ends."""
        with self._lock:
            self.active[key] -= 1
            self.calls.append(Call(key, generation, attempt, phase))

    def _look_at_effects(self, key: str, generation: int, attempt: int) -> None:
        policy = self.effects.get(_ITEM.sub("[]", key))
        before = {(call.attempt, call.phase) for call in self.calls if call[:2] == (key, generation)}
        if policy == "verify" and any(phase == "end" for _, phase in before):
            self.faults.append(f"{key} runs again, and it can be seen that its effect has happened")
        if policy in ("skip", "ask") and (attempt, "start") in before:
            self.faults.append(f"attempt {attempt} of {key} is made again, and its effect is in doubt")

    def _look_at_windows(self, key: str) -> None:
        for found in _ITEM.finditer(key):
            loop = key[: found.start()]
            window = self.windows.get(_ITEM.sub("[]", loop))
            items = {_ITEM.match(other, len(loop)) for other, n in self.active.items() if n and other.startswith(loop)}
            if window and len({item[1] for item in items if item}) > window:
                self.faults.append(f"more than {window} items of {loop} run at once")


WORLD = World()


def new_world(made: Made) -> World:
    """The world of a new trial."""
    global WORLD  # handlers are found by name: this is how they come to their trial
    WORLD = World(windows=made.windows, effects=made.effects)
    return WORLD


async def work(
    values: list[Any], extra: int = 0, do: dict[str, Any] | None = None, give: str = "number", status: Any = None
) -> Any:
    """On the loop."""
    world, at = WORLD, _where()
    world.enter(*at, status)
    phase = "cancelled"
    try:
        if delay := (do or {}).get("delay"):
            await world.clock.sleep(delay)
        if scripted.hangs(do or {}, *at[1:]):
            await asyncio.get_running_loop().create_future()
        phase = "fail"
        result = _outcome(world, values, extra, do or {}, give, at)
        phase = "end"
        return result
    finally:
        world.leave(*at, phase)


def work_in_thread(
    values: list[Any], extra: int = 0, do: dict[str, Any] | None = None, give: str = "number", status: Any = None
) -> Any:
    """In a thread."""
    world, at = WORLD, _where()
    world.enter(*at, status)
    phase = "fail"
    try:
        result = _outcome(world, values, extra, do or {}, give, at)
        phase = "end"
        return result
    finally:
        world.leave(*at, phase)


async def happened(
    values: list[Any], extra: int = 0, do: dict[str, Any] | None = None, give: str = "number", status: Any = None
) -> Any:
    """Looks whether what `work` was to do has happened: the world knows, also where the journal does not."""
    key, generation, _ = _where()
    done = any(call[:2] == (key, generation) and call.phase == "end" for call in WORLD.calls)
    return {"happened": True, "output": scripted.value(values, extra, give)} if done else False


def _where() -> tuple[str, int, int]:
    info = current_attempt()
    assert info is not None
    return str(info.step_key), info.generation, info.attempt


def _outcome(world: World, values: list[Any], extra: int, do: Mapping[str, Any], give: str, at: Any) -> Any:
    name = scripted.fault(do, at[1], at[2], world.repaired)
    if name is not None:
        raise scripted.ERRORS[name](f"{at[0]} fails as it was told to")
    result = scripted.value(values, extra, give)
    values.append("spoilt")  # what it was given is its own
    return result
