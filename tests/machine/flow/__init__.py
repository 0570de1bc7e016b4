"""The engine over random pipelines of all kinds, cut, paused, cancelled, answered and restarted at random.

    making      draws a pipeline                      scripted, handlers   what its steps do, and what they witnessed
    trial       drives one execution of it            story                what its journal says
    model       what it must have come to             invariants           what holds in every journal
    machine     the Hypothesis machine of it all      tally                what was tried

`model` opens with the semantics in prose. `python -m tests.machine.flow --examples 5000 --seed 1` tries thousands.
"""
