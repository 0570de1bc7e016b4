"""Torture: one fault after another, done to real processes on a real SQLite file, and what became of it.

    python -m orchestrator.testing.torture --minutes 3 --seed 1
    python -m orchestrator.testing.torture --list

A *scenario* is one kind of fault. A *try* of it begins an execution in a folder of its own, brings the fault about at a
moment that chance picks, takes the fault away, and has the execution resumed until it ends. Then it is held against
*witnesses*, which are not the product's: lines that the handlers themselves, and a subscriber, append to a file.
Appends to one file have one order, also between processes, so that the file shows what came after what:

- nothing that was acknowledged is gone or has changed (else: lost);
- nothing has run again after its success was recorded, and nothing was recorded twice (ran twice);
- a fault that cannot be survived was told, by an exit code and a sentence (not reported);
- no process of the run lives on (left running);
- the outputs are those of an unbroken run, and the file is sound.

The seed decides which scenarios come in which order, with which sizes and moments. What the processes do between two
such moments is the machine's affair, so that a seed repeats the plan of a run and not its every race.
"""
