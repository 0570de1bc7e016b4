"""The journal in words: one line for a person, every fact for a program."""

import pytest

from orchestrator.cli.history import facts, in_words
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import Entry
from orchestrator.types import ExecutionId, StepKey

KEY, VALUE = StepKey("fetch"), Encoded(b"\x92\x01\x02")
ERROR = {"message": "ConnectionError: refused\nagain", "category": "network"}


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (
            ev.ExecutionCreated(ExecutionId("x"), "shop", VALUE, "f00", (("a", VALUE),), "/here"),
            "shop  fingerprint f00  inputs a",
        ),
        (ev.ExecutionPaused("interrupted"), "interrupted"),
        (ev.ExecutionCancelled(""), ""),
        (ev.StepStarted(KEY, 2, 3, "The orders"), "fetch  generation 2  attempt 3  name The orders"),
        (
            ev.StepRecovering(KEY, 1, 1, ERROR, {"strategy": "skip"}),
            "fetch  attempt 1  ConnectionError: refused again  skip",
        ),
        (
            ev.InterventionRequested(KEY, 1, 2, ERROR, "make\nit"),
            "fetch  attempt 2  ConnectionError: refused again  make it",
        ),
        (ev.InterventionAnswered(KEY, 1, "skip", VALUE, "Ada"), "fetch  skip  value 3 bytes  by Ada"),
        (ev.CheckpointCreated("00000003", "initial"), "checkpoint 00000003  initial"),
        (
            ev.ExecutionRestored("base", 7, (KEY,), (("a", VALUE),), ("b", "c"), StepKey("bad"), (KEY,)),
            "checkpoint base  fetch  writes a  deleted b, c  cause bad  expanded fetch",
        ),
        (ev.VariablesChanged((("a", VALUE),), (), "fetch"), "writes a  source fetch"),
        (ev.StepSkipped(KEY, 1, "its condition was false"), "fetch  its condition was false"),
        (ev.LoopExpanded(KEY, 1, ()), "fetch  items 0"),
        (ev.LoopExpanded(KEY, 1, (VALUE,), collects=True), "fetch  items 1  collects"),
        (ev.ExecutionPaused("waiting", waits=True), "waiting  waits"),
        (ev.CodeSeen({"handlers:give": "ab12"}), "handlers 1"),
        (ev.BlockEntered(KEY, 1, 2, 1, (("n", VALUE),)), "fetch  attempt 2  case 2  inputs n"),
        (ev.IterationStarted(KEY, 1, 0), "fetch  round 1"),
        (ev.StepWaiting(KEY, 1, 1, "signal", None, "paid"), "fetch  attempt 1  for a signal  paid"),
        (
            ev.StepWaiting(KEY, 1, 1, "approval", None, "Go?", {"choices": ["yes", "no"]}),
            "fetch  attempt 1  for an approval  Go?  choices yes, no",
        ),
        (ev.SignalReceived("paid", VALUE, "Ada", 7), "name paid  payload 3 bytes  by Ada"),
        (ev.SignalTaken(KEY, 1, 12), "fetch  signal_position 12"),
        (
            ev.StepCancelled(KEY, 1, "enough", "ended 0.1 s after it was asked to"),
            "fetch  enough  ended 0.1 s after it was asked to",
        ),
        (ev.StepInDoubt(KEY, 1, 2, "verify"), "fetch  attempt 2  policy verify"),
        (
            ev.StepFailed(KEY, 1, 1, ERROR, StepKey("inner")),
            "fetch  attempt 1  ConnectionError: refused again  cause inner",
        ),
        (ev.ExecutionForked(ExecutionId("other"), 9), "source other  position_there 9"),
        (ev.ExecutionRerun((KEY,), (), "Ada"), "fetch  by Ada"),
        (ev.PipelineChanged(VALUE, VALUE, "f01", "/here", ("fetch",)), "fingerprint f01  changed fetch"),
    ],
)
def test_a_line_for_each_kind(event: ev.Event, told: str) -> None:
    assert in_words(Entry(9, 0.0, event)) == told


def test_a_program_gets_every_fact_and_the_place_of_the_checkpoint_beside_that_of_the_event() -> None:
    restored = dict(facts(Entry(9, 0.0, ev.ExecutionRestored("base", 7, (KEY,))), whole=True))
    assert restored["checkpoint_position"] == 7 and "position" not in restored
    asked = dict(facts(Entry(9, 0.0, ev.InterventionRequested(KEY, 1, 2, ERROR, "make it", 5.0)), whole=True))
    assert (asked["error"], asked["deadline"]) == (ERROR, 5.0)
