"""The Hypothesis machine: a random pipeline, and what befalls its execution life by life.

One rule, without preconditions: what a life comes to may depend on how threads are scheduled, and what is drawn must
not.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests.machine.flow.making import pipelines
from tests.machine.flow.places import Made
from tests.machine.flow.trial import Life, Trial

_OFTEN = ["signal", "signal", "answer", "answer"]
_BETWEEN = st.sampled_from([*_OFTEN, "advance", "advance", "repair", "pause", "restore", "cancel"])
_DURING = st.sampled_from([*_OFTEN, "pause", "interrupt", "signal", "cancel"])

LIVES = st.builds(
    Life,
    cut=st.sampled_from([None, None, 1, 2, 3, 4, 5, 6, 7, 9, 11, 14]),
    when=st.sampled_from(["before", "after"]),
    before=st.lists(_BETWEEN, max_size=2),
    during=st.lists(st.tuples(st.integers(1, 24), _DURING), max_size=2),
    say=st.integers(0, 2),
    pick=st.integers(0, 9),
)


class FlowMachine(RuleBasedStateMachine):
    @initialize(made=pipelines(), on_disk=st.sampled_from([False] * 7 + [True]))
    def begin(self, made: Made, on_disk: bool) -> None:
        self.trial = Trial(made, on_disk)

    @rule(life=LIVES)
    def live(self, life: Life) -> None:
        self.trial.live(life)

    def teardown(self) -> None:
        if hasattr(self, "trial"):
            self.trial.finish()
