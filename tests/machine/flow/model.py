"""The second opinion: what an execution must have come to, by a naive recursive reading of its definition.

It shares no code with the engine. It reads the definition, takes from the journal only the decisions that were free
(`story`), computes everything else itself, and holds each step that it comes to against what the journal says of it.

THE SEMANTICS

A *flow* is a list of steps. A step may run when every step of its flow that it needs has ended well: those in `needs`,
those that anything inside of it mentions, those before it that set a variable it mentions, and what its alternatives
need. Ended well is completed or skipped; a skipped step's output is null, or what its recovery says.

A step is, from the outside in: its condition (once, or for each item where it mentions the item); its loop; for each
item or round its attempts and what follows when they fail; then what it does.

- `for_each`: each item is a step `key[i]`; the output is the list of outputs. `stop`: one that fails for good fails the
  loop. `collect`: none does, and each output says `ok`, `value`, `error`. A share: as long as no more have failed.
- `while`: the condition is judged before each round, which is a step `key[i]`; the step's own name is the output of the
  last round, null before the first. Output: that of the last round. More rounds than `max_iterations` fail it.
- `steps`: a flow `key.`; output the mapping of its outputs in the order of the file, or `output`.
- `switch`: the first case whose condition holds, a flow `key.`; where none does the step is skipped.
- `parallel`: as `steps`, but `join` says how many have to end well. When they have, the others are cancelled, and the
  output is the mapping of those that counted, in the order in which they ended. When too many have failed it fails.
- `pipeline`: a flow `key/` with nothing but its inputs, its own steps and its own variables; output its `outputs`.
- `wait`, `signal`, `approve`: as the time, a message or a person decides; at the deadline the default, or failure.
- `return`: ends its pipeline well, with these outputs. `fail`: fails. Where a pipeline has both, the first one counts.

A failed attempt is answered by the first rule of `on_error` that fits and is not used up, else by `retry`, else the
step has failed for good; then its flow fails, and everything in it is let finish or cancelled. A compound step that
fails is answered in the same way: its attempts are runs of all that is inside of it.

When the main steps are over, whatever they came to, the `finally` steps run. They know `outcome`, and null for each
main step that did not end well.

Of a step that the journal calls completed or skipped the model must find that it ends well, with the same output; of
one that it calls failed, that it fails. Anything else (cancelled, not begun, under way) may be where whatever holds the
step has not ended well, or has decided without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.machine.flow import blocks, loops, recoveries
from tests.machine.flow.flows import Flow, Scope, Variables
from tests.machine.flow.results import ANY, Back, Bad, Good, Open, Result, Wrong
from tests.machine.flow.scripted import fault, hangs, value
from tests.machine.flow.story import ENDED_WELL, Story
from tests.machine.flow.templates import names_in, resolve

Step = Mapping[str, Any]


class Model:
    """Reads one execution. `repaired`: whether what is broken until somebody repairs it has been."""

    def __init__(self, definition: Mapping[str, Any], story: Story, repaired: bool) -> None:
        self.definition, self.story, self.repaired = definition, story, repaired
        #: Every key that the model came to: there must be no other in the journal.
        self.visited: set[str] = set()
        #: Keys of `finally` steps -> the words that `outcome.status` may have been.
        self.outcomes: dict[str, set[str]] = {}

    def whole(self) -> Result:
        """What the execution comes to; raises Wrong where the journal says otherwise."""
        result = self.pipeline(self.definition, {}, "", self.story.status)
        if extra := [k for k in self.story.record.steps if k not in self.visited and self.story.state(k) != "pending"]:
            raise Wrong(f"there is no reason for these steps: {', '.join(extra)}")
        match self.story.status:
            case "completed":
                if not isinstance(result, Good) or result.value != self.story.outputs:
                    raise Wrong(f"completed with {self.story.outputs}, and not {result}")
            case "failed" if not isinstance(result, Bad):
                raise Wrong(f"failed, and not {result}")
        return result

    # -- a pipeline ----------------------------------------------------------------------------------------------------

    def pipeline(self, definition: Step, given: Mapping[str, Any], prefix: str, state: str) -> Result:
        """A pipeline, of which the journal says `state`: `prefix` is what its steps' keys begin with."""
        inputs = {name: given.get(name, spec.get("default")) for name, spec in definition.get("inputs", {}).items()}
        around = Variables(inputs)
        main = Flow(self, definition["steps"], around, prefix)
        ended = self.decided(main.all().values())
        if state == "completed" and not isinstance(ended, Back):
            main.must_have_ended()
        if not prefix and state in ("completed", "failed"):
            self._was_not_cancelled(main, ended)
        last = self._finally(definition, main, around, ended, prefix, state)
        outputs = definition.get("outputs", {})
        if isinstance(ended, Back) and last is None:
            return Good({name: ended.outputs.get(name) for name in outputs})
        return (ended if isinstance(ended, Bad) else None) or last or ended or Good(resolve(outputs, main))

    def _finally(
        self, definition: Step, main: Flow, around: Scope, ended: Result | None, prefix: str, state: str
    ) -> Result | None:
        """The `finally` steps: what speaks against a good end, or None."""
        steps = definition.get("finally", ())
        if not steps:
            return None
        if not any(self.story.state(f"{prefix}{step['id']}") for step in steps):
            if state in ("completed", "failed", "cancelled") and self.has_begun(prefix):
                raise Wrong(f"the finally steps of {prefix or 'the pipeline'} did not run")
            return Open("its finally steps have not run")
        known = {
            id_: result.value if isinstance(result, Good) and main.has_ended_well(id_) else None
            for id_, result in main.all().items()
        }
        words = {Bad: {"failed"}, Back: {"returned"}, type(None): {"completed", "cancelled"}}
        told = words.get(type(ended), {"cancelled"}) | (
            {"cancelled"} if self.story.record.cancel is not None else set()
        )
        self.outcomes |= {f"{prefix}{step['id']}": told for step in steps}
        flow = Flow(self, steps, Scope({**known, "outcome": {"status": ANY}}, around), prefix)
        results = flow.all().values()
        if state in ("completed", "failed", "cancelled"):
            flow.must_have_ended("failed")
        return self.decided(results)

    def _was_not_cancelled(self, main: Flow, ended: Result | None) -> None:
        """What was to be cancelled ends in no other way, unless its outcome was settled by then."""
        ends = [self.story.ended_at(ended.key)] if isinstance(ended, Bad | Back) else map(main.ended_at, main.all())
        asked = self.story.cancel_asked_at
        if asked is not None and max(ends) > asked:
            raise Wrong(f"cancelled at {asked}, and it is {self.story.status}")

    def has_begun(self, prefix: str) -> bool:
        """Whether anything of a pipeline began."""
        return any(key.startswith(prefix) and step.started_at for key, step in self.story.record.steps.items())

    # -- a step --------------------------------------------------------------------------------------------------------

    def step(self, step: Step, scope: Scope, key: str) -> Result:
        """A step of a flow, held against what the journal says of it."""
        result = self._judged(step, scope, key)
        self.compare(key, result)
        return result

    def _judged(self, step: Step, scope: Scope, key: str) -> Result:
        item = step.get("as", "item") if "for_each" in step else None
        if item in {*names_in(step.get("when"))} or resolve(step.get("when", True), scope):
            if "for_each" in step:
                return loops.for_each(self, step, scope, key, item in {*names_in(step.get("when"))})
            return loops.rounds(self, step, scope, key) if "while" in step else self.one(step, scope, key)
        return Good(None)

    def one(self, step: Step, scope: Scope, key: str) -> Result:
        """An item, a round, or a step without a loop: its attempts and what follows from them."""
        self.visited.add(key)
        if "call" in step:
            return self._call(step, scope, key)
        if "run" in step:  # an echo
            return Good({"exit_code": 0, "stdout": f"{step['run'][1]}\n", "stderr": ""})
        result = blocks.held(self, step, scope, key)
        if isinstance(result, Bad) and ("on_error" in step or "retry" in step):
            attempt = self.story.attempt(key)
            result = recoveries.way_out(self, step, scope, key, result.error, attempt) or Open("another attempt")
        return Bad(key, result.error) if isinstance(result, Bad) else result

    def _call(self, step: Step, scope: Scope, key: str) -> Result:
        given = resolve(step["with"], scope)
        do, generation, attempt = given.get("do", {}), self.story.generation(key), self.story.spent(key)
        repaired = self.repaired and self.story.state(key) == "completed"
        while True:
            attempt += 1
            if (doubt := recoveries.doubted(self, key, attempt)) is not None:
                if isinstance(doubt, Good | Bad | Open):
                    return doubt
                continue
            error = "StepTimeoutError" if hangs(do, generation, attempt) else fault(do, generation, attempt, repaired)
            if error is None:
                return Good(value(given["values"], given.get("extra", 0), given.get("give", "number")))
            result = recoveries.way_out(self, step, scope, key, error, attempt)
            if result is not None:
                return result

    # -- against the journal -------------------------------------------------------------------------------------------

    def is_recorded(self, key: str) -> bool:
        """Whether the journal says of a step that it failed, or that it was a `return` which counted."""
        return self.story.state(key) in ("failed", "completed")

    def decided(self, results: Iterable[Result]) -> Result | None:
        """What these steps come to together where that is no good end: the failure or `return` that came first."""
        results = [*results]
        found = [r for r in results if isinstance(r, Bad | Back) and self.is_recorded(r.key)]
        if found:
            return min(found, key=lambda r: self.story.ended_at(r.key))
        return next((Open(f"{r}") for r in results if not isinstance(r, Good)), None)

    def compare(self, key: str, result: Result) -> None:
        """Hold what the model found of a step against what the journal says."""
        self.visited.add(key)
        state = self.story.state(key)
        if state in ENDED_WELL and not isinstance(result, Good | Back):
            raise Wrong(f"{key} is {state}, and not {result}")
        if state == "failed" and not isinstance(result, Bad):
            raise Wrong(f"{key} is failed, and not {result}")
        if state in ENDED_WELL and isinstance(result, Good):
            for found in self.story.output(key):
                if found != result.value:
                    raise Wrong(f"{key} gave {found}, and not {result.value}")
