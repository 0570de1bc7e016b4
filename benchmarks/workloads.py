"""The workloads as data: what is done, how much of it, which figures are shown, what Orchestrator should reach.

Every step does nothing and returns about 100 bytes; every workload can be run by each system in its own natural form.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """Orchestrator's median of `figure` should be at most `most`."""

    figure: str
    most: float


@dataclass(frozen=True)
class Workload:
    """`size` counts what `unit` says, `quick` is that of a quick look; the first figure is the one that is drawn.

    What is counted rather than timed is done `once`, whatever the number of rounds.
    """

    key: str
    title: str
    what: str
    unit: str
    size: int
    quick: int
    figures: tuple[str, ...]
    targets: tuple[Target, ...] = ()
    once: bool = False

    @property
    def figure(self) -> str:
        """The one by which systems are compared."""
        return self.figures[0]


_STEPS = ("commits_per_step", "steps_per_second", "cpu_us_per_step", "rows_per_step", "written_kb_per_step", "peak_mb")

WORKLOADS = (
    Workload(
        "chain",
        "W1 durable chain",
        "Steps one after the other, each on the disk before the next begins.",
        "steps",
        500,
        100,
        (*_STEPS, "cpu_us_above_limit"),
        (Target("commits_per_step", 1.6), Target("cpu_us_above_limit", 150), Target("rows_per_step", 2)),
    ),
    Workload(
        "syncs",
        "W1 synced how often",
        "W1 at this size and at a third of it under strace: the difference in calls of fsync and fdatasync, per step.",
        "steps",
        120,
        60,
        ("syncs_per_step",),
        (Target("syncs_per_step", 1),),
        once=True,
    ),
    Workload(
        "fan",
        "W2 fan-out and join",
        "One step, then that many at once, then one over the results of all.",
        "items",
        500,
        100,
        _STEPS,
        (Target("commits_per_step", 0.25),),
    ),
    Workload(
        "many",
        "W3 many executions",
        "Executions of ten steps each, fifty at once in one process.",
        "executions",
        200,
        50,
        _STEPS,
        (Target("commits_per_step", 0.4),),
    ),
    Workload(
        "resume",
        "W4 resume",
        "A chain was killed in the body of its last step; a new process opens the store and brings it to its result.",
        "steps",
        2000,
        200,
        ("seconds", "bodies", "peak_mb"),
        (Target("seconds", 0.05), Target("bodies", 1)),
    ),
    Workload(
        "carry",
        "W5 large value",
        "A text of 5 MB carried through a chain.",
        "steps",
        200,
        20,
        ("seconds", "times_limit", "disk_mb", "written_mb", "peak_mb"),
        (Target("times_limit", 1.5), Target("disk_mb", 11)),
    ),
    Workload(
        "import",
        "W6 cold start: import",
        "`import` of the package, above what bare Python takes.",
        "",
        1,
        1,
        ("seconds_above_python",),
        (Target("seconds_above_python", 0.06),),
    ),
    Workload(
        "use",
        "W6 cold start: first use",
        "Import of the names that the chain is written with, above what bare Python takes.",
        "",
        1,
        1,
        ("seconds_above_python",),
    ),
    Workload(
        "console",
        "W6 cold start: command line",
        "The command with `--help`, above what bare Python takes.",
        "",
        1,
        1,
        ("seconds_above_python",),
        (Target("seconds_above_python", 0.12),),
    ),
    Workload(
        "idle",
        "W7 idle executions",
        "Open executions in one process that have ended one step and wait in the next.",
        "executions",
        2000,
        200,
        ("kib_each",),
        (Target("kib_each", 6),),
    ),
    Workload(
        "fan_large",
        "A larger fan-out",
        "W2 with more items.",
        "items",
        10_000,
        1000,
        _STEPS,
    ),
    Workload(
        "carry_nested",
        "A larger value",
        "A nested value of random bytes through 20 steps that take it, verify its checksum and return it unchanged.",
        "MB",
        50,
        5,
        ("seconds", "disk_mb", "written_mb", "peak_mb"),
    ),
    Workload(
        "bare",
        "Not durable",
        "W1 with durability `none`: what a step costs that no disk holds up.",
        "steps",
        500,
        100,
        ("us_per_step", "cpu_us_per_step"),
        (Target("us_per_step", 60),),
    ),
    Workload(
        "bare_threads",
        "Not durable, in threads",
        "The same with ordinary functions, which run in a thread each.",
        "steps",
        500,
        100,
        ("us_per_step", "cpu_us_per_step"),
        (Target("us_per_step", 150),),
    ),
)
COLD = {"import", "use", "console"}
