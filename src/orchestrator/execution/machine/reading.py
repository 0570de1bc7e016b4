"""What the machine knows: its frames, where each step stands, how the inside of a step came to its end.

Looking changes nothing; what happens is taken in by `machine`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.errors import IllegalMoveError
from orchestrator.execution.driver import Over
from orchestrator.execution.machine.frames import (
    ENDED,
    WELL,
    CallsFrame,
    Frame,
    GraphFrame,
    ItemsFrame,
    Node,
    Step,
    SubFlow,
)
from orchestrator.journal import events as ev
from orchestrator.journal.events import Event
from orchestrator.journal.keys import is_inside, place_of
from orchestrator.status import Closing, ExecutionStatus, StepStatus
from orchestrator.types import StepKey

#: The owner of the steps of the pipeline itself.
ROOT = StepKey("")
#: What a step that is pending or under way may still come to; each has a key and a generation.
_OUTCOMES = (ev.StepStarted, ev.StepSucceeded, ev.StepSkipped, ev.StepFailed, ev.StepCancelled)


def _no_flow(node: Node) -> tuple[Mapping[str, Node], Mapping[str, Node]]:
    raise IllegalMoveError("a sub-pipeline", "unknown", "entered")


class MachineReader:
    """The state of one execution, to be looked at.

    `nodes` are the steps of the pipeline, `last` its `finally` steps; `sub_flow` gives those of a sub-pipeline. With
    `calls` the pipeline is a durable function, which says itself what its steps are.
    """

    __slots__ = (
        "_closings",
        "_frames",
        "_past",
        "_renewed",
        "_root",
        "_story",
        "_sub_flow",
        "has_calls",
        "lenient",
        "status",
        "waiting",
    )

    def __init__(
        self,
        nodes: Mapping[str, Node],
        last: Mapping[str, Node] | None = None,
        sub_flow: SubFlow = _no_flow,
        *,
        calls: bool = False,
    ) -> None:
        self.status = ExecutionStatus.PENDING
        #: Steps that wait for a person, a signal or a time, in the order in which they began to.
        self.waiting: dict[StepKey, None] = {}
        #: Whether events of steps that are not in the graph pass by: they are of an earlier definition.
        self.lenient = False
        self._root = CallsFrame(ROOT, remaining=1) if calls else GraphFrame.of(ROOT, None, None, "", nodes, last or {})
        self._sub_flow = sub_flow
        #: Whether a durable function runs in it, or did.
        self.has_calls = calls
        #: Owner -> what is inside of it, for every step that holds others now, and for the pipeline itself.
        self._frames: dict[StepKey, Frame] = {ROOT: self._root}
        #: The owners of what closes and was not concluded.
        self._closings: dict[StepKey, None] = {}
        #: Owner -> the highest generation that anything inside of it had before it began anew.
        self._past: dict[StepKey, int] = {}
        #: Steps that were asked for again, although what is around them has failed.
        self._renewed: dict[StepKey, None] = {}
        self._story: list[str] = []

    @property
    def closes(self) -> bool:
        """Whether anything closes that was not concluded."""
        return bool(self._closings)

    def closing(self) -> list[StepKey]:
        """The owners of what closes and was not concluded, the innermost first; `""` is the pipeline itself.

        What waits in one that somebody asked for again is awaited.
        """
        if not self._closings:
            return []
        kept = [key for key in self._renewed if key in self.waiting] if self._renewed else []
        ready = [owner for owner in self._closings if not any(owner == ROOT or is_inside(key, owner) for key in kept)]
        if self.has_calls:  # what its function has not asked for in this life is concluded when it does
            ready = [owner for owner in ready if owner == ROOT or not self.is_asleep(owner)]
        return sorted(ready, key=_depth, reverse=True)

    def protects(self, key: StepKey) -> bool:
        """Whether a step is one of `finally`, or inside of one: it is not cancelled with what is around."""
        while (place := place_of(key)) is not None:
            frame = self._frames.get(place.owner)
            if isinstance(frame, GraphFrame) and frame.last_begun and place.name in frame.last_steps:
                return True
            key = place.owner
        return self._root.last_begun and key in self._root.last_steps

    @property
    def failed(self) -> list[StepKey]:
        """The steps that failed for good and are not borne; while one is to come, what it comes of."""
        root = self._root
        if root.failed or root.why is not Closing.FAILED:
            return root.failed
        return [key for frame in self._frames.values() for key in frame.failed if self._dooms(frame)]

    @property
    def verdict(self) -> Closing | None:
        """Why the pipeline ends before its last step, or did: None where it does not."""
        return self._root.why or (Closing.FAILED if self._root.failed else None)

    @property
    def is_over(self) -> bool:
        """Whether nothing of the pipeline is to come any more; what closes must have been concluded."""
        root = self._root
        if root.last_begun:
            return root.last_is_over
        return root.concluded if root.closing is not None else not root.remaining

    @property
    def last_begun(self) -> bool:
        """Whether the `finally` steps of the pipeline have begun."""
        return self._root.last_begun

    @property
    def returned(self) -> StepKey | None:
        """The step that said `return` for the pipeline itself."""
        return self._root.returned

    def returned_in(self, owner: StepKey) -> StepKey | None:
        """The step that said `return` for the pipeline that a step runs, or is part of."""
        frame: Frame | None = self._frames.get(owner)
        while frame is not None and not (frame is self._root or getattr(frame, "mark", "") == "/"):
            frame = frame.parent
        return frame.returned if isinstance(frame, GraphFrame) else None

    def late_returns(self) -> list[StepKey]:
        """The `return` steps that were reached when their pipeline had failed already, and counted for nothing."""
        found = []
        for frame in self._frames.values():
            returns = (
                [name for name, node in frame.nodes.items() if node.kind == "return"]
                if isinstance(frame, GraphFrame)
                else []
            )
            around: Frame | None = frame if returns else None
            while around is not None and around.parent is not None and getattr(around, "mark", "") != "/":
                around = around.parent
            if isinstance(around, GraphFrame) and isinstance(frame, GraphFrame) and around.why is Closing.FAILED:
                found += [frame.key(name) for name in returns if frame.steps[name].status is StepStatus.COMPLETED]
        return found

    def standing(self, owner: StepKey) -> tuple[str, StepKey | None]:
        """How a pipeline stands (`completed`, `failed`, `cancelled` or `returned`) when its `finally` steps run.

        With it the step that failed, where one did. `owner` is the step that runs it, `""` for the pipeline itself.
        """
        frame = self._frames[owner]
        assert isinstance(frame, GraphFrame)
        failed = self.failed if owner == ROOT else frame.failed
        words = {None: "completed", Closing.FAILED: "failed", Closing.RETURNED: "returned"}
        return words.get(frame.why, "cancelled"), _first(failed) if frame.why is Closing.FAILED else None

    def lets_go(self, key: StepKey) -> bool:
        """Whether no further attempt of a step begins: what is around it closes, and nobody asked for it again."""
        found = self._look(key)
        if found is None or not self._is_closed(found[0], key):
            return False
        return not any(key == again or is_inside(key, again) for again in self._renewed)

    def race_branches(self, key: StepKey) -> list[StepKey]:
        """The branches that a step is, or is inside of, of a `parallel` that needs fewer than all of them."""
        found = []
        while (place := place_of(key)) is not None:
            frame = self._frames.get(place.owner)
            if isinstance(frame, GraphFrame) and frame.join is not None and frame.join < len(frame.nodes):
                found.append(key)
            key = place.owner
        return found

    def over(self, key: StepKey) -> Over | None:
        """How the inside of a step came to its end; None where it has no inside, or that goes on."""
        frame = self._frames.get(key)
        if frame is None:
            return None
        if isinstance(frame, ItemsFrame):
            done = frame.done == len(frame.items)
            if not (frame.concluded or done):
                return None
            left = frame.closing is not None or frame.failed or frame.borne  # else not looked for: rounds may be many
            return Over(frame.closing, _first(frame.failed), self._leftovers(frame) if left else (), ())
        assert isinstance(frame, GraphFrame)
        ended = frame.last_is_over if frame.last_begun else frame.concluded or not frame.remaining
        if not ended:
            return None
        closing = frame.why or (Closing.FAILED if frame.failed else None)
        return Over(closing, _first(frame.failed), self._leftovers(frame), tuple(frame.order), frame.returned)

    def has_ended(self, key: StepKey) -> bool:
        """Whether a step completed or was skipped, so that nothing of it will run again."""
        found = self._look(key)
        return found is not None and found[1].status in WELL

    def leftovers(self) -> tuple[tuple[StepKey, int], ...]:
        """The steps that had begun and have not ended, the innermost first, each with its generation."""
        return self._leftovers(self._root)

    def _leftovers(self, frame: Frame) -> tuple[tuple[StepKey, int], ...]:
        found: list[tuple[StepKey, int]] = []
        for key, step in frame.present():
            if step.status in (StepStatus.RUNNING, StepStatus.FAILED):  # what failed keeps what had begun inside
                inner = self._frames.get(key)
                found += self._leftovers(inner) if inner is not None else ()
            if step.status is StepStatus.RUNNING:
                found.append((key, step.generation))
        return tuple(found)

    def check(self, event: Event) -> None:
        """Raise IllegalMoveError for an outcome that comes too late: the step has ended, or is of a new generation."""
        if not isinstance(event, _OUTCOMES):
            return
        found = self._look(event.key)
        if found is None:
            return  # what a recovery runs
        step = found[1]
        if step.generation != event.generation or step.status in ENDED:
            what = f"step {event.key} (generation {event.generation})"
            raise IllegalMoveError(what, str(step.status), type(event).__name__)

    def knows(self, key: StepKey) -> bool:
        """Whether there is such a step now."""
        return self._look(key) is not None

    def holds(self, key: StepKey) -> bool:
        """Whether something is inside of a step now."""
        return key in self._frames

    def is_wanted(self, key: StepKey) -> bool:
        """Whether there is such a step, and nothing around it is decided, has returned, or is out of time."""
        found = self._look(key)
        around = found[0] if found is not None else None
        while around is not None and around.closing in (None, Closing.FAILED, Closing.CANCELLED):
            around = around.parent
        return found is not None and around is None

    def is_failure(self, key: StepKey) -> bool:
        """Whether a step failed, and what is around it does not bear that."""
        found = self._look(key)
        return found is not None and key in found[0].failed

    def is_call(self, key: StepKey) -> bool:
        """Whether a step is a call of a durable function."""
        return isinstance(self._around(key), CallsFrame)

    def is_function(self, key: StepKey) -> bool:
        """Whether a step runs a durable function now (`""`: whether the pipeline is one)."""
        return isinstance(self._frames.get(key), CallsFrame)

    def is_late(self, key: StepKey) -> bool:
        """Whether the time is over of the attempt of a step that holds others."""
        frame = self._frames.get(key)
        return frame is not None and frame.closing is Closing.TIMED_OUT

    def is_asleep(self, key: StepKey) -> bool:
        """Whether a step is a call that its function has not asked for in this life, or inside of one."""
        while True:
            frame, place = self._around(key), place_of(key)
            if isinstance(frame, CallsFrame) and (place.name if place is not None else key) not in frame.nodes:
                return True
            if place is None:
                return False
            key = place.owner

    def calls_of(self, owner: StepKey) -> Iterator[tuple[StepKey, StepStatus]]:
        """The calls of a durable function, of which anything is known, and where each stands."""
        frame = self._frames.get(owner)
        if isinstance(frame, CallsFrame):
            for key, step in frame.present():
                yield key, step.status

    def _around(self, key: StepKey) -> Frame | None:
        place = place_of(key)
        return self._root if place is None else self._frames.get(place.owner)

    def last_keys(self, owner: StepKey) -> list[StepKey]:
        """The `finally` steps of the pipeline that a step runs (`""`: of the pipeline itself)."""
        frame = self._frames.get(owner)
        return [frame.key(name) for name in frame.last] if isinstance(frame, GraphFrame) else []

    def generation(self, key: StepKey) -> int:
        """Which generation of a step this is. Raises IllegalMoveError where there is no such step."""
        return self._find(key)[1].generation

    def status_of(self, key: StepKey) -> StepStatus | None:
        """Where a step stands; None where there is none such now."""
        found = self._look(key)
        return None if found is None else found[1].status

    def _look(self, key: StepKey) -> tuple[Frame, Step] | None:
        """A step and the frame that it is in; None for what is no step, or not now."""
        root = self._root
        step = root.steps.get(key)
        if step is not None:
            return root, step
        if (place := place_of(key)) is None:
            step = root.last_steps.get(key)
            return None if step is None else (root, step)
        frame = self._frames.get(place.owner)
        step = frame.get(place.mark, place.name) if frame is not None else None
        return None if step is None or frame is None else (frame, step)

    def _find(self, key: StepKey) -> tuple[Frame, Step]:
        found = self._look(key)
        if found is None:
            raise IllegalMoveError(f"step {key}", "unknown", "anything", self._told())
        return found

    def _is_part(self, key: StepKey) -> bool:
        """Whether a key is that of what a recovery runs, or of something that is inside of no step now."""
        place = place_of(key)
        return place is not None and place.mark == "/" and self._look(key) is None

    def _dooms_owner(self, frame: Frame) -> bool:
        """Whether what fails in this frame fails what is around it: nothing of the owner deals with it."""
        parent = frame.parent
        if parent is None or isinstance(frame, CallsFrame) or (isinstance(parent, GraphFrame) and parent.last_begun):
            return False
        recovers = frame.node is not None and frame.node.recovers and isinstance(frame, GraphFrame)
        return not recovers and not parent.bears()

    def _dooms(self, frame: Frame) -> bool:
        """Whether what fails in this frame fails the pipeline."""
        inside: Frame | None = frame
        while inside is not None and inside is not self._root:
            if not self._dooms_owner(inside):
                return False
            inside = inside.parent
        return True

    def _is_closed(self, frame: Frame, key: StepKey | None = None) -> bool:
        """Whether a frame hands out nothing new (not this step), by itself or since something around it closes."""
        around: Frame | None = frame
        while around is not None:
            if isinstance(around, CallsFrame):  # what a function asks for runs, also while it tidies up
                return False
            if around.closing is not None:
                return True
            if isinstance(around, GraphFrame) and around.last_begun:  # those run whatever happens around them
                return key is not None and not around.is_last(key)
            if around.owner in self._renewed:  # as does what somebody asked for again
                return False
            key = around.owner
            around = around.parent
        return False

    def _inside(self, frame: Frame) -> list[Frame]:
        """What goes on inside of a frame and is not shielded by `finally`, at every depth."""
        found: list[Frame] = []
        if isinstance(frame, GraphFrame) and frame.last_begun:
            return found
        if isinstance(frame, CallsFrame):  # a function gives its calls up itself, also in a later life: they tidy up
            return found
        for key, step in frame.present():
            inner = self._frames.get(key) if step.status is StepStatus.RUNNING else None
            if inner is not None and not (isinstance(inner, GraphFrame) and inner.last_begun):
                found += [inner, *self._inside(inner)]
        return found

    def _node(self, key: StepKey) -> Node:
        """The planned step behind a key; an item has that of its loop."""
        place = place_of(key)
        frame = self._frames.get(place.owner) if place is not None else self._root
        if isinstance(frame, ItemsFrame):
            assert frame.node is not None
            return frame.node
        assert isinstance(frame, GraphFrame)
        name = place.name if place is not None else key
        if isinstance(frame, CallsFrame):
            return frame.known(name)
        return frame.nodes[name] if name in frame.nodes else frame.last[name]

    def validate(self) -> None:
        """Raise AssertionError where the invariants do not hold; for tests."""
        for owner, frame in self._frames.items():
            assert owner == ROOT or self._find(owner)[1].status is not StepStatus.PENDING, f"{owner} holds steps"
            if isinstance(frame, CallsFrame):
                continue
            if isinstance(frame, GraphFrame):
                _validate_graph(frame)
            else:
                assert isinstance(frame, ItemsFrame)
                done = sum(item.status in WELL for item in frame.items) + frame.borne
                assert frame.done == done, f"{owner}: items are counted wrongly"
        if self.status is ExecutionStatus.COMPLETED and self.verdict is not Closing.RETURNED:
            assert not self._root.remaining, "completed with steps that have not ended"

    def _tell(self, line: str) -> None:
        self._story.append(line)
        if len(self._story) > 40:
            del self._story[:20]

    def _told(self) -> str:
        return "what led to it:\n  " + "\n  ".join(self._story)


def _validate_graph(frame: GraphFrame) -> None:
    for name, node in frame.nodes.items():
        step = frame.steps[name]
        met = sum(frame.steps[need].status in WELL for need in node.needs)
        assert step.unmet == len(node.needs) - met, f"{name}: {step.unmet} unmet needs, {met} of {len(node.needs)} met"
        assert not step.unmet or step.status is StepStatus.PENDING, f"{name} is {step.status} before its needs are met"
    left = sum(not frame.has_ended(step) for step in frame.steps.values())
    assert frame.remaining == left, f"{frame.owner or 'the pipeline'}: steps are counted wrongly"


def _first(keys: Sequence[StepKey]) -> StepKey | None:
    return keys[0] if keys else None


def _depth(key: StepKey) -> int:
    return sum(key.count(mark) for mark in "[./") + bool(key)
