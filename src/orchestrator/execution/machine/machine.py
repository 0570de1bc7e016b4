"""The machine: events in, instructions out.

It knows the graph and what has ended, and says what is to be done next. It has no clock, no store, no thread and
awaits nothing, so that a live execution and a replayed one are the same calls. It never sees attempts, values or
errors: only that a step started, ended, was skipped, cancelled or failed. Work per event does not depend on how many
steps there are.

    PENDING ── started ──> RUNNING ── succeeded ──> COMPLETED          (the table is status.STEP_MOVES)
       └─ skipped ──> SKIPPED  ├── cancelled ──> CANCELLED
                               └── failed ──> FAILED ── retried ──> PENDING of the next generation

A step that holds others (a loop, a block, a sub-pipeline) is RUNNING while its *frame* is there; what is inside of it
are steps of their own, and when they are over the machine asks for the `Join`, which says what the step came to. A
step that fails closes its frame, unless that bears it; where nothing around it can deal with a failure, everything up
to the pipeline closes at once (`Fail`), so that nothing new is started for nothing. A frame that closes is over when
nothing of it is under way: whoever drives sees that and calls `conclude`. A restore brings steps back to PENDING in a
new generation; what belongs to an older one is refused. What a step's recovery runs under keys of its own
(`fetch/mirror`) is the step's business, and passes by.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from orchestrator.errors import IllegalMoveError
from orchestrator.execution.machine.frames import (
    ENDED,
    WELL,
    Called,
    CallsFrame,
    Frame,
    GraphFrame,
    ItemsFrame,
    Node,
    Step,
    share_of,
)
from orchestrator.execution.machine.instructions import Complete, Execute, Fail, Instruction, Join, Release, Stop
from orchestrator.execution.machine.reading import ROOT, MachineReader
from orchestrator.journal import events as ev
from orchestrator.journal.events import Event
from orchestrator.journal.keys import is_inside, item_key, place_of
from orchestrator.status import ENDED as ENDED_EXECUTIONS
from orchestrator.status import EXECUTION_MOVES, STEP_MOVES, Closing, ExecutionStatus, StepStatus, check_move
from orchestrator.types import StepKey

#: A durable function of which this is said runs on in a later life: one whose time is over tidies up.
_GOES_ON = (None, Closing.TIMED_OUT)


class Machine(MachineReader):
    """The state of one execution, as far as it decides what is next.

    `nodes` are the steps of the pipeline, `last` its `finally` steps; `sub_flow` gives those of a sub-pipeline.
    """

    __slots__ = ()

    # -- what happens ------------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> list[Instruction]:
        """Take in an event and say what follows from it. Raises IllegalMoveError, with the latest events."""
        if not self.lenient:
            return self._apply(event)
        try:
            return self._apply(event)
        except IllegalMoveError:  # what an earlier definition says of a step that is another now
            return []

    def _apply(self, event: Event) -> list[Instruction]:
        match event:
            case ev.StepStarted(key=key, generation=generation):
                self._move(key, generation, StepStatus.RUNNING)
                return []
            case ev.StepSucceeded(key=key, generation=generation):
                return self._end(key, generation, StepStatus.COMPLETED)
            case ev.StepSkipped(key=key, generation=generation):
                return self._end(key, generation, StepStatus.SKIPPED)
            case ev.StepFailed(key=key, generation=generation):
                return self._end(key, generation, StepStatus.FAILED)
            case ev.StepCancelled(key=key, generation=generation):
                return self._end(key, generation, StepStatus.CANCELLED)
            case ev.LoopExpanded(key=key, generation=generation, items=items, collects=collects):
                return self._expand(key, generation, len(items), collects)
            case ev.IterationStarted(key=key, generation=generation, index=index):
                return self._begin_round(key, generation, index)
            case ev.BlockEntered(key=key, generation=generation, case=case, pipeline=pipeline):
                return self._enter(key, generation, case or 0, pipeline)
            case ev.StepWaiting(key=key, generation=generation):
                self._move(key, generation, StepStatus.RUNNING)
                self.waiting[key] = None
                return []
            case ev.InterventionRequested(key=key):
                self.waiting[key] = None
                return []
            case (
                ev.InterventionAnswered(key=key, generation=generation)
                | ev.SignalTaken(key=key, generation=generation)
                | ev.WaitOver(key=key, generation=generation)
            ):
                return self._wait_is_over(key, generation)
            case ev.DeadlinePassed(key=key):
                frame = self._frames.get(key)
                return self._cancel_inside(frame, Closing.TIMED_OUT) if frame is not None else []
            case _:
                return self._live(event)

    def _live(self, event: Event) -> list[Instruction]:
        match event:
            case ev.ExecutionRetried(keys=keys):
                for key in keys:
                    self._renew(key)
                self._begin_function_anew()
                self._count()
            case ev.ExecutionRestored(keys=keys, expanded=expanded):
                self._set_back(keys, expanded)
                if self.status in ENDED_EXECUTIONS:
                    self.status = ExecutionStatus.RUNNING  # no move: it stands again where it stood
                return list(self.outstanding())
            case ev.ExecutionRerun(keys=keys, expanded=expanded):
                self._set_back(keys, expanded)
                self._ask_again(key for key in keys if key not in expanded)
                if self.status in ENDED_EXECUTIONS:
                    self.status = ExecutionStatus.PAUSED  # likewise
            case ev.CancelRequested():
                self._root.never_began = self.status is ExecutionStatus.PENDING
                return self._cancel_inside(self._root, Closing.CANCELLED)
            case ev.PipelineChanged():
                self.settle_on_definition()
            case ev.ExecutionForked():
                self.status = ExecutionStatus.PAUSED
                late = [frame for frame in self._frames.values() if frame.closing is Closing.TIMED_OUT]
                self._set_back((), ())
                for frame in filter(self._goes_on, late):  # only what somebody has cancelled is undone
                    self._cancel_inside(frame, Closing.TIMED_OUT)
            case ev.ExecutionClaimed():
                self._become(ExecutionStatus.RUNNING)
                return list(self.outstanding())
            case ev.ExecutionPaused():
                self._become(ExecutionStatus.PAUSED)
            case ev.ExecutionCompleted():
                self._become(ExecutionStatus.COMPLETED)
            case ev.ExecutionFailed():
                self._become(ExecutionStatus.FAILED)
            case ev.ExecutionCancelled():
                self._become(ExecutionStatus.CANCELLED)
        return []

    # -- what a durable function asks for ----------------------------------------------------------------------------

    def call(self, owner: StepKey, name: str, node: Node) -> tuple[StepKey, int, StepStatus]:
        """A durable function asks for a step: its key and generation, and where it stands."""
        frame = self._frames[owner]
        assert isinstance(frame, CallsFrame)
        key, step = frame.key(name), frame.call(name)
        frame.nodes[name] = node  # type: ignore[index]  # a dictionary of its own
        inner = self._frames.get(key)
        if isinstance(inner, ItemsFrame):
            inner.node, inner.window = node, node.max_parallel or len(inner.items)
        elif inner is not None:
            inner.node = node
        return key, step.generation, step.status

    def outstanding_of(self, key: StepKey) -> list[Instruction]:
        """What is to be done now of a step that a durable function has asked for."""
        frame, step = self._find(key)
        return list(self._outstanding_step(key, step, self._is_closed(frame)))

    def give_up(self, key: StepKey) -> list[Instruction]:
        """The function that asked for a step that holds others waits for it no more."""
        return self._cancel_inside(self._frames[key], Closing.CANCELLED)

    def forget_calls(self, owner: StepKey) -> None:
        """A durable function is to run from its first line: it has not asked for anything yet."""
        frame = self._frames.get(owner)
        if isinstance(frame, CallsFrame):
            frame.nodes = {}

    def _begin_function_anew(self) -> None:
        if isinstance(self._root, CallsFrame):
            self._root.life += 1
            self._root.concluded = False

    def settle_on_definition(self) -> None:
        """What comes from here on is of the definition that this machine has."""
        self.lenient = False
        self._count()

    # -- what is outstanding -----------------------------------------------------------------------------------------

    def outstanding(self) -> Iterator[Instruction]:
        """All that is to be done now, by somebody who has nothing under way."""
        yield from self._outstanding(self._root)
        if self._root.closing is Closing.FAILED and (failed := self.failed):
            yield Fail(failed[0])

    def _outstanding(self, frame: Frame) -> Iterator[Instruction]:
        frame.concluded = False
        if frame.closing is not None:
            self._closings[frame.owner] = None
        if isinstance(frame, ItemsFrame):
            frame.next = 0
        if isinstance(frame, CallsFrame):
            if frame is self._root:
                if not frame.never_began:  # also where it was cancelled: it tidies up
                    yield Execute(ROOT, frame.life)
            elif (
                frame.closing in _GOES_ON
                and frame.parent is not None
                and not self._is_closed(frame.parent, frame.owner)
            ):
                yield Execute(frame.owner, self._find(frame.owner)[1].generation)
            return
        if isinstance(frame, GraphFrame):
            if not frame.last_begun and frame.closing is None and not frame.remaining:
                yield from self._main_is_over(frame)
                return
            if frame.last_begun and frame.last_is_over:
                yield from self._is_over(frame)
                return
        if isinstance(frame, ItemsFrame):
            yield from self._outstanding_items(frame)
            return
        assert isinstance(frame, GraphFrame)
        closed = self._is_closed(frame)
        for name, step in (frame.last_steps if frame.last_begun else frame.steps).items():
            yield from self._outstanding_step(frame.key(name), step, closed)

    def _outstanding_items(self, frame: ItemsFrame) -> Iterator[Instruction]:
        closed, places = self._is_closed(frame), frame.window
        for index, step in enumerate(frame.items):
            if step.status in ENDED:
                continue
            key = item_key(frame.owner, index)
            if closed:
                yield from self._outstanding_step(key, step, closed)
            elif places:
                places -= 1  # one that waits keeps its place
                frame.next = index + 1
                yield from self._outstanding_step(key, step, closed)
        if not closed and frame.done == len(frame.items):
            yield from self._is_over(frame)

    def _outstanding_step(self, key: StepKey, step: Step, closed: bool) -> Iterator[Instruction]:
        if step.status in ENDED or step.unmet or key in self.waiting:
            return
        inner = self._frames.get(key)
        if inner is not None:
            yield from self._outstanding(inner)
        elif not closed or key in self._renewed:
            yield Execute(key, step.generation)

    def conclude(self, owner: StepKey) -> list[Instruction]:
        """Nothing is under way any more inside of a step that closes: what follows."""
        frame = self._frames[owner]
        frame.concluded = True
        self._closings.pop(owner, None)
        if isinstance(frame, GraphFrame) and frame.last and not (frame.last_begun or frame.never_began):
            return list(self._begin_last(frame))
        return list(self._is_over(frame))

    # -- steps -------------------------------------------------------------------------------------------------------

    def _move(self, key: StepKey, generation: int, new: StepStatus) -> tuple[Frame, Step] | None:
        """Bring a step to a status; None for what is no step of the graph."""
        found = self._called(key)
        if found is None:
            if "/" in key and self._is_part(key):
                return None
            found = self._find(key)
        frame, step = found
        self._tell(f"{key}: {step.status} -> {new}")
        if step.generation != generation:
            raise IllegalMoveError(
                f"step {key}", f"generation {step.generation}", f"an event of {generation}", self._told()
            )
        if step.status is new is StepStatus.RUNNING:  # a further attempt
            return frame, step
        try:
            check_move(STEP_MOVES, step.status, new, f"step {key}")
        except IllegalMoveError as exc:
            raise IllegalMoveError(exc.what, exc.old, exc.new, self._told()) from None
        step.status = new
        if new is not StepStatus.RUNNING and (self._renewed or self.waiting or self._closings):
            self._renewed.pop(key, None)
            self.waiting.pop(key, None)
            self._closings.pop(key, None)  # in a replay nobody concludes
        return frame, step

    def _called(self, key: StepKey) -> tuple[Frame, Step] | None:
        """The step of a call, also of one that nothing was known of; None for what is none."""
        place = place_of(key)
        frame = self._root if place is None else self._frames.get(place.owner)
        if not isinstance(frame, CallsFrame) or (place is not None and place.mark != frame.mark):
            return None
        return frame, frame.call(place.name if place is not None else key)

    def _become(self, new: ExecutionStatus) -> None:
        self._tell(f"execution: {self.status} -> {new}")
        if self.status is new and new in (ExecutionStatus.RUNNING, ExecutionStatus.PAUSED):
            return  # claimed again after a crash; set back while nobody worked on it
        try:
            check_move(EXECUTION_MOVES, self.status, new, "the execution")
        except IllegalMoveError as exc:
            raise IllegalMoveError(exc.what, exc.old, exc.new, self._told()) from None
        self.status = new

    def _wait_is_over(self, key: StepKey, generation: int) -> list[Instruction]:
        self.waiting.pop(key, None)
        found = self._look(key)
        if found is None or found[1].status in ENDED or self.is_asleep(key):
            return []
        if self._is_closed(found[0], key) and key not in self._renewed:
            return []
        return [Execute(key, generation)]

    # -- ends --------------------------------------------------------------------------------------------------------

    def _end(self, key: StepKey, generation: int, status: StepStatus) -> list[Instruction]:
        moved = self._move(key, generation, status)
        if moved is None:
            return []
        frame, _ = moved
        if status is StepStatus.CANCELLED or isinstance(frame, CallsFrame):
            return []
        if status is StepStatus.FAILED and not self._bear(frame):
            return self._fail(frame, key)
        if isinstance(frame, ItemsFrame):
            return list(self._after_item(frame))
        assert isinstance(frame, GraphFrame)
        place = place_of(key)
        return list(self._after_step(frame, place.name if place is not None else key, key, status in WELL))

    def _bear(self, frame: Frame) -> bool:
        """Whether one more failure in a frame is borne; it is counted then."""
        if not frame.bears():
            return False
        assert isinstance(frame, GraphFrame | ItemsFrame)
        frame.borne += 1
        return True

    def _fail(self, frame: Frame, key: StepKey) -> list[Instruction]:
        """A step failed, and the frame does not bear it: nothing new is started as far as nothing deals with that."""
        frame.failed.append(key)
        if isinstance(frame, GraphFrame) and frame.last_begun:  # the other `finally` steps run all the same
            return list(self._is_over(frame)) if frame.last_is_over else []
        instructions: list[Instruction] = []
        doomed: Frame | None = frame
        while doomed is not None and doomed.closing in (None, Closing.FAILED):  # else that counts already
            if doomed.closing is None:
                self._close(doomed, Closing.FAILED)
                instructions += [Release(doomed.owner), *self._stop_gently(doomed)]
                if doomed is self._root:
                    instructions.append(Fail(key))
            doomed = doomed.parent if self._dooms_owner(doomed) else None
        return instructions

    def _after_step(self, frame: GraphFrame, name: str, key: StepKey, well: bool) -> Iterator[Instruction]:
        """What follows when a step of a graph ended, well or borne."""
        if name in frame.last_steps:
            yield from self._hand_out(frame, frame.last, frame.last_steps, name)
            if frame.last_is_over:
                yield from self._is_over(frame)
            return
        frame.remaining -= 1
        if well and frame.owner:
            frame.order.append(name)
        node = frame.nodes[name]
        if node.kind == "return" and well and frame.steps[name].status is StepStatus.COMPLETED:
            yield from self._return(frame, key)
            return
        yield from self._hand_out(frame, frame.nodes, frame.steps, name)
        if frame.closing is not None:
            return
        if frame.is_decided:
            yield from self._cancel_inside(frame, Closing.DECIDED)
        elif not frame.remaining:
            yield from self._main_is_over(frame)

    def _hand_out(
        self, frame: GraphFrame, nodes: Mapping[str, Node], steps: Mapping[str, Step], name: str
    ) -> Iterator[Instruction]:
        """A step ended well: those that waited for it alone may start."""
        dependents = nodes[name].dependents
        closed = bool(dependents) and self._is_closed(frame)
        for dependent in dependents:
            step = steps[dependent]
            step.unmet -= 1
            if step.status in ENDED:  # a restore has kept it, and not what it needs
                continue
            if not step.unmet and (not closed or frame.key(dependent) in self._renewed):
                yield Execute(frame.key(dependent), step.generation)

    def _after_item(self, frame: ItemsFrame) -> Iterator[Instruction]:
        frame.done += 1
        yield from self._fill(frame, 1)

    def _fill(self, frame: ItemsFrame, places: int) -> Iterator[Instruction]:
        """Hand out items of a loop: as many as have a place, or the join where none is left."""
        if self._is_closed(frame):
            return
        if frame.done == len(frame.items):
            yield from self._is_over(frame)
            return
        while places and frame.next < len(frame.items):
            index, item = frame.next, frame.items[frame.next]
            frame.next += 1
            if item.status not in ENDED:
                places -= 1  # one that waits keeps its place
                key = item_key(frame.owner, index)
                if key not in self.waiting:
                    yield Execute(key, item.generation)

    def _main_is_over(self, frame: GraphFrame) -> Iterator[Instruction]:
        """The steps of a graph ended well: those of `finally` begin, or it is over."""
        if frame.last:
            yield from self._begin_last(frame)
        else:
            yield from self._is_over(frame)

    def _begin_last(self, frame: GraphFrame) -> Iterator[Instruction]:
        frame.ending, frame.closing = frame.closing, None
        frame.last_begun, frame.concluded = True, False
        self._closings.pop(frame.owner, None)
        if frame.last_is_over:
            yield from self._is_over(frame)
            return
        for name, step in frame.last_steps.items():
            key = frame.key(name)
            if not step.unmet and step.status not in ENDED and key not in self.waiting:
                inner = self._frames.get(key)
                yield from self._outstanding(inner) if inner is not None else iter([Execute(key, step.generation)])

    def _is_over(self, frame: Frame) -> Iterator[Instruction]:
        """Nothing more of a frame is to come: its owner says what it came to."""
        frame.concluded = True
        if frame is not self._root:
            if frame.owner not in self.waiting:
                yield Join(frame.owner, self._find(frame.owner)[1].generation)
        elif self.verdict in (None, Closing.RETURNED):
            yield Complete()

    # -- what is cancelled -------------------------------------------------------------------------------------------

    def _return(self, frame: GraphFrame, key: StepKey) -> Iterator[Instruction]:
        """A step said `return`: the pipeline that it belongs to is done, and what else runs in it is cancelled."""
        around: Frame | None = frame
        while around is not None and not (around is self._root or getattr(around, "mark", "") == "/"):
            around = around.parent
        assert isinstance(around, GraphFrame)
        if around.closing in (None, Closing.RETURNED) and not around.last_begun:
            around.returned = around.returned or key  # what was asked for again may say so once more
            yield from self._cancel_inside(around, Closing.RETURNED)

    def _cancel_inside(self, frame: Frame, why: Closing) -> list[Instruction]:
        """Close a frame and all inside of it, but for `finally` steps that have begun; what runs is cancelled."""
        if isinstance(frame, GraphFrame) and frame.last_begun:
            return []
        for key in [*self._renewed]:  # also what was asked for again
            if frame is self._root or is_inside(key, frame.owner):
                del self._renewed[key]
        if frame.closing is None or (why is Closing.CANCELLED and frame.closing is Closing.FAILED):
            self._close(frame, why)
        for inner in self._inside(frame):
            if inner.closing is None:
                self._close(inner, Closing.CANCELLED)
        return [Stop(frame.owner)]

    def _close(self, frame: Frame, why: Closing) -> None:
        frame.closing = why
        if not frame.concluded:
            self._closings[frame.owner] = None

    def _stop_gently(self, frame: Frame) -> Iterator[Instruction]:
        """What is inside of a frame that failed and must tidy up at its end is given up: its `finally` steps run."""
        for inner in self._inside(frame):
            if inner.closing is None and isinstance(inner, GraphFrame) and inner.last:
                for innermost in (inner, *self._inside(inner)):
                    if innermost.closing is None:
                        self._close(innermost, Closing.CANCELLED)
                yield Release(inner.owner)

    # -- what is inside of a step ------------------------------------------------------------------------------------

    def _expand(self, key: StepKey, generation: int, count: int, collects: bool) -> list[Instruction]:
        node = self._checked(key, items=True)
        moved = self._move(key, generation, StepStatus.RUNNING)
        if moved is None or node is None:
            return []
        if isinstance(node, Called):
            node = Called(is_loop=True, item_failure="collect" if collects else "stop")
        frame = ItemsFrame(key, moved[0], node, share=share_of(node.item_failure))
        frame.items = [Step(generation=self._past.get(key, 0) + 1) for _ in range(count)]
        frame.window = node.max_parallel or count
        self._frames[key] = frame
        return [] if self.is_asleep(key) else list(self._fill(frame, frame.window))

    def _begin_round(self, key: StepKey, generation: int, index: int) -> list[Instruction]:
        node = self._checked(key, items=True)
        moved = self._move(key, generation, StepStatus.RUNNING)
        if moved is None or node is None:
            return []
        frame = self._frames.get(key)
        if frame is None:
            frame = self._frames[key] = ItemsFrame(key, moved[0], node, repeated=True)
        assert isinstance(frame, ItemsFrame)
        if index != len(frame.items):
            raise IllegalMoveError(f"step {key}", f"at round {len(frame.items)}", f"round {index}", self._told())
        frame.items.append(Step(generation=self._past.get(key, 0) + 1))
        frame.concluded = False
        return list(self._fill(frame, 1))

    def _enter(self, key: StepKey, generation: int, case: int, pipeline: str) -> list[Instruction]:
        node = self._checked(key, items=False, case=case)
        moved = self._move(key, generation, StepStatus.RUNNING)
        if moved is None or node is None:
            return []
        self._drop(key)
        first = self._past.get(key, 0) + 1
        if isinstance(node, Called) and pipeline:
            node = Called("pipeline", definition={"pipeline": pipeline})
        if node.kind == "call":
            self.has_calls = True
            self._frames[key] = CallsFrame(key, moved[0], node, mark="/", remaining=1, first=first)
            return []
        if node.kind == "pipeline":
            nodes, last = self._sub_flow(node)
            frame = GraphFrame.of(key, moved[0], node, "/", nodes, last, generation=first)
        else:
            nodes = node.blocks[case].steps
            frame = GraphFrame.of(key, moved[0], node, ".", nodes, join=node.join, generation=first)
        self._frames[key] = frame
        if self._is_closed(frame) or self.is_asleep(key):
            return []
        if not frame.remaining:
            return list(self._main_is_over(frame))
        return [Execute(frame.key(name), step.generation) for name, step in frame.steps.items() if not step.unmet]

    def _checked(self, key: StepKey, *, items: bool, case: int = 0) -> Node | None:
        """The planned step that holds others from now on; None for what is no step of the graph.

        Raises IllegalMoveError where an earlier definition held something there that this one does not.
        """
        if self._called(key) is None and self._look(key) is None:
            return None
        node = self._node(key)
        if self.lenient:
            is_whole = key[-1:] != "]" and (node.is_loop or node.is_repeated)
            if is_whole != items or not (items or node.kind == "pipeline" or case < len(node.blocks)):
                raise IllegalMoveError(f"step {key}", f"a {node.kind} step", "holding what it held")
        return node

    def _drop(self, key: StepKey) -> None:
        """Forget what is inside of a step; a later generation of it is higher than any that was there."""
        frame = self._frames.pop(key, None)
        self._closings.pop(key, None)
        if frame is None:
            return
        for inner, step in frame.present():
            self._past[key] = max(self._past.get(key, 0), step.generation)
            self._renewed.pop(inner, None)
            self.waiting.pop(inner, None)
            if inner in self._frames:
                self._drop(inner)

    # -- beginning anew ----------------------------------------------------------------------------------------------

    def _renew(self, key: StepKey) -> None:
        """Somebody asked for a step again that failed, was cancelled, or has to run once more at the end."""
        frame, step = self._find(key)
        if step.status not in ENDED:
            raise IllegalMoveError(f"step {key}", str(step.status), "a new generation", self._told())
        self._drop(key)
        step.status, step.generation = StepStatus.PENDING, step.generation + 1
        self._renewed[key] = None
        self._revive(frame, key)

    def _revive(self, frame: Frame, key: StepKey) -> None:
        """What failed or was cancelled since a step in it did goes on."""
        if key in frame.failed:
            frame.failed.remove(key)
        frame.concluded = False
        if isinstance(frame, GraphFrame) and frame.last_begun and key not in map(frame.key, frame.last_steps):
            frame.closing, frame.last_begun = frame.ending, False
        if not frame.failed:
            frame.closing = None
            self._closings.pop(frame.owner, None)
        if frame.parent is None:
            return
        owner = self._find(frame.owner)[1]
        if owner.status in (StepStatus.FAILED, StepStatus.CANCELLED):
            owner.status = StepStatus.RUNNING
        self._revive(frame.parent, frame.owner)

    def _set_back(self, keys: Sequence[StepKey], expanded: Sequence[StepKey]) -> None:
        """Bring these steps back in a new generation, and count everything afresh."""
        self._tell(f"set back: {', '.join(keys)}")
        kept = frozenset(expanded)
        for key in keys:
            if key not in kept:
                self._drop(key)
        for key in keys:
            if (found := self._look(key)) is not None:
                step = found[1]
                step.status = StepStatus.RUNNING if key in kept else StepStatus.PENDING
                step.generation += 1
                self.waiting.pop(key, None)
        self._begin_function_anew()
        self._renewed.clear()
        for key in [*self.waiting]:
            if self._look(key) is None:
                del self.waiting[key]
        for frame in self._frames.values():
            frame.failed = [
                key for key in frame.failed if (found := self._look(key)) and found[1].status is StepStatus.FAILED
            ]
            frame.closing = Closing.FAILED if frame.failed else None
            frame.concluded = False
            self._closings.pop(frame.owner, None)
            if isinstance(frame, GraphFrame):
                frame.last_begun, frame.ending = False, None
                returned = self._look(frame.returned) if frame.returned is not None else None
                if returned is not None and returned[1].status in WELL:  # it has returned all the same
                    frame.closing = Closing.RETURNED
                else:
                    frame.returned = None
        self._count()
        for frame in [*self._frames.values()]:
            if isinstance(frame, GraphFrame) and frame.is_decided and frame.closing is None and self._goes_on(frame):
                self._cancel_inside(frame, Closing.DECIDED)

    def _goes_on(self, frame: Frame) -> bool:
        """Whether the step that holds a frame has not ended."""
        return frame is not self._root and self._find(frame.owner)[1].status is StepStatus.RUNNING

    def _ask_again(self, keys: Iterable[StepKey]) -> None:
        """Somebody wants these steps; they run also where what is around them is over."""
        for key in keys:
            if (found := self._look(key)) is not None and self._is_closed(found[0]):
                self._renewed[key] = None

    def _count(self) -> None:
        for frame in self._frames.values():
            assert isinstance(frame, GraphFrame | ItemsFrame)
            frame.count()
