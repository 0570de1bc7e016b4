"""Durable functions over random programs: cut, paused, cancelled and restarted at random, and at every commit.

A program is data: a list of statements. One `async def` pipeline and one `def` pipeline interpret it; a program is an
input of its execution, so that a later life interprets the same one.

    programs     draws a program                     fixed      programs that cover one feature each
    steps        what they call, and witness         running    the two interpreters
    world        what survives the death of a life   trial      drives one execution of a program
    model        what a program can come to, and whether what it gave is that, computed without any engine
    tally        what was tried

Every statement has a number of its own, `id`. What a program returns is the list of what each statement gave, with the
key that each step had. `python -m tests.machine.functions --examples 5000 --seed 1` tries thousands.
"""
