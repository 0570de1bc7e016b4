"""Which step waits for which, in which order they can go, and what is wrong where they cannot.

A step needs the steps that its `needs` name and those whose output or variables its templates mention. A variable that
`set` steps write stands for every writer that comes earlier in the file; where none does and no input has the name, for
every writer. A step that others may replace when it fails needs what they need: it is to be there then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush

from orchestrator.errors import PipelineError
from orchestrator.pipelines.compiling import CompiledStep

#: For each step, by its index in the file, the indices of the steps it needs.
Needs = list[set[int]]

#: Of one pipeline: a thousand writers of one variable and a thousand readers make a million.
MAX_EDGES = 1_000_000


class TooManyEdgesError(PipelineError):
    """The steps up to `index` wait for more than `MAX_EDGES` others, all together."""

    def __init__(self, index: int) -> None:
        self.index = index
        super().__init__(f"the steps up to here wait for more than {MAX_EDGES:,} others in all; gather some in between")


def writers_of(steps: Iterable[CompiledStep]) -> dict[str, list[int]]:
    """Variable -> the indices of the steps that set it, in file order."""
    writers: dict[str, list[int]] = {}
    for index, step in enumerate(steps):
        for name in step.writes:
            writers.setdefault(name, []).append(index)
    return writers


def infer_needs(steps: Sequence[CompiledStep], given: Container[str]) -> Needs:
    """What each step needs of the others; names that none of them gives are passed over.

    `given` are the variables that are set before: the inputs, and for the steps of a block what is set outside of it. A
    step with steps inside needs what these use, and writes what these write.

    A writer that is needed by a later writer of the same variable is left out: who waits for the later one waits for it
    too. So a counter that a thousand steps raise costs a thousand edges, not half a million.
    """
    index_of = {step.id: index for index, step in reversed(list(enumerate(steps))) if step.id}
    writers = writers_of(steps)
    latest: dict[str, set[int]] = {}
    needs: Needs = []
    edges = 0
    for index, step in enumerate(steps):
        found = {index_of[name] for name in step.definition.get("needs", ()) if name in index_of}
        names = step.names
        for name in names:
            if name in index_of:
                found.add(index_of[name])
            elif name in latest or name in given:
                found |= latest.get(name, set())
            else:
                found.update(writers.get(name, ()))
        found.discard(index)
        needs.append(found)
        edges += len(found)
        if edges > MAX_EDGES:
            raise TooManyEdgesError(index)
        for name in step.writes:
            latest[name] = {index} if name in names else latest.get(name, set()) | {index}
    return _with_alternatives(steps, needs, index_of) if any(step.alternatives for step in steps) else needs


def _with_alternatives(steps: Sequence[CompiledStep], needs: Needs, index_of: Mapping[str, int]) -> Needs:
    whole: Needs = []
    edges = 0
    for index, step in enumerate(steps):
        others = [needs[index_of[name]] for name in step.alternatives if name in index_of]
        whole.append(needs[index].union(*others) - {index})
        edges += len(whole[-1])
        if edges > MAX_EDGES:
            raise TooManyEdgesError(index)
    return whole


def in_order(needs: Sequence[Collection[int]]) -> list[int]:
    """Each step after those it needs, and else as in the file; what is in a cycle, or waits for one, is left out."""
    dependents = _turned(needs)
    missing = [len(needed) for needed in needs]
    ready = [index for index, count in enumerate(missing) if count == 0]
    heapify(ready)
    order = []
    while ready:
        index = heappop(ready)
        order.append(index)
        for dependent in dependents[index]:
            missing[dependent] -= 1
            if missing[dependent] == 0:
                heappush(ready, dependent)
    return order


def _turned(needs: Sequence[Collection[int]]) -> list[list[int]]:
    dependents: list[list[int]] = [[] for _ in needs]
    for index, needed in enumerate(needs):
        for need in needed:
            dependents[need].append(index)
    return dependents


def cycles(needs: Needs) -> list[list[int]]:
    """For each knot the shortest cycle through its first step: `[a, b, a]` where a waits for b, and b for a."""
    stuck = set(range(len(needs))) - set(in_order(needs))
    knots = [knot for knot in _knots(needs, stuck) if len(knot) > 1]
    return [_shortest(min(knot), needs, set(knot)) for knot in sorted(knots, key=min)]


def _knots(needs: Needs, within: set[int]) -> Iterator[list[int]]:
    """Tarjan's strongly connected components, with a stack of its own."""
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    open_steps: list[int] = []
    closed: set[int] = set()
    for root in sorted(within):
        if root in number:
            continue
        work = [(root, iter(sorted(needs[root] & within)))]
        number[root] = low[root] = len(number)
        open_steps.append(root)
        while work:
            step, rest = work[-1]
            need = next(rest, None)
            if need is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[step])
                if low[step] == number[step]:
                    knot = [open_steps.pop()]
                    while knot[-1] != step:
                        knot.append(open_steps.pop())
                    closed.update(knot)
                    yield knot
            elif need not in number:
                number[need] = low[need] = len(number)
                open_steps.append(need)
                work.append((need, iter(sorted(needs[need] & within))))
            elif need not in closed:
                low[step] = min(low[step], number[need])


def _shortest(start: int, needs: Needs, within: set[int]) -> list[int]:
    """The shortest way from a step along its needs back to itself; empty if there is none."""
    came_from: dict[int, int] = {}
    frontier = deque([start])
    while frontier:
        step = frontier.popleft()
        for need in sorted(needs[step] & within):
            if need == start:
                way = [start, step]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if need not in came_from:
                came_from[need] = step
                frontier.append(need)
    return []
