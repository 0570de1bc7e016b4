"""What holds in every journal, whatever was run and whatever befell it.

Each function takes one execution's story and raises Wrong with the first thing that cannot be. None knows the
pipeline.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from tests.machine.flow.results import Wrong
from tests.machine.flow.story import ANEW, ENDED_WELL, ENDS, Story, owners

from orchestrator.journal import events as ev

_WORDS = {
    ev.StepSucceeded: "completed",
    ev.StepSkipped: "skipped",
    ev.StepFailed: "failed",
    ev.StepCancelled: "cancelled",
}
_ENDED = tuple(_WORDS.values())
_LAST = (ev.ExecutionCompleted, ev.ExecutionFailed, ev.ExecutionCancelled)
#: What may follow the end of an execution.
_AFTERWARDS = (*ANEW, ev.ExecutionForked)
#: What may happen at most once for each (key, generation), or for each attempt of it.
_ONCE = (ev.LoopExpanded, ev.WaitOver, ev.SignalTaken)
_ONCE_PER_ATTEMPT = (ev.BlockEntered, ev.StepWaiting)


def check(story: Story, posted: Mapping[int, str]) -> None:
    """Look at everything. `posted`: the payload of each signal that was posted -> its name."""
    ends_are_ends(story)
    things_happen_once(story)
    attempts_are_counted(story)
    rounds_are_counted(story)
    no_signal_is_lost(story, posted)
    no_timer_is_early(story)
    a_pause_knows_when_to_wake(story)
    nothing_is_left_under_way(story)
    views_agree(story)


def ends_are_ends(story: Story) -> None:
    """A (key, generation) ends once and is silent afterwards; generations rise; an ended execution is silent.

    What failed or was cancelled around a step that is asked for again goes on in its generation.
    """
    ended: dict[tuple[str, int], str] = {}
    generations: dict[str, int] = {}
    over: str | None = None
    for entry in story.entries:
        event: Any = entry.event
        if over is not None and not isinstance(event, _AFTERWARDS):
            raise Wrong(f"{type(event).__name__} at {entry.position}, after {over}")
        over = type(event).__name__ if isinstance(event, _LAST) else None
        if isinstance(event, ANEW):
            around = {owner for key in event.keys for owner in owners(key)}
            ended = {found: word for found, word in ended.items() if found[0] not in around or word in ENDED_WELL}
        if (found := _step_of(event)) is None:
            continue
        if found in ended:
            raise Wrong(f"{type(event).__name__} of {found} at {entry.position}, after {ended[found]}")
        if found[1] < (known := generations.get(found[0], 0)):
            raise Wrong(f"{type(event).__name__} of {found} at {entry.position}, after generation {known}")
        generations[found[0]] = found[1]
        if isinstance(event, ENDS):
            ended[found] = _WORDS[type(event)]


def things_happen_once(story: Story) -> None:
    """A loop is expanded once, a timer fires once, a signal is taken once; an attempt enters its block once."""
    seen: Counter[tuple[Any, ...]] = Counter()
    for entry in story.entries:
        event: Any = entry.event
        if isinstance(event, _ONCE):
            seen[type(event).__name__, event.key, event.generation] += 1
        elif isinstance(event, _ONCE_PER_ATTEMPT):
            seen[type(event).__name__, event.key, event.generation, event.attempt] += 1
        elif isinstance(event, ANEW):  # what goes on around it has its attempts again
            around = {owner for key in event.keys for owner in owners(key)}
            seen = Counter({what: n for what, n in seen.items() if len(what) < 4 or what[1] not in around})
    if twice := [what for what, count in seen.items() if count > 1]:
        raise Wrong(f"more than once: {twice[0]}")


def attempts_are_counted(story: Story) -> None:
    """An attempt has the number of the one before it, which was cut off, or the next one where that failed."""
    begun: dict[tuple[str, int], int] = {}
    failed: set[tuple[str, int, int]] = set()
    for entry in story.entries:
        match entry.event:
            case ev.StepStarted(key=key, generation=generation, attempt=attempt):
                before = begun.get((key, generation), attempt)
                if attempt != before and (attempt != before + 1 or (key, generation, before) not in failed):
                    raise Wrong(f"attempt {attempt} of {key} follows {before}, at {entry.position}")
                begun[key, generation] = attempt
            case ev.StepRetrying() | ev.InterventionRequested() as event:
                failed.add((event.key, event.generation, event.attempt))


def rounds_are_counted(story: Story) -> None:
    """The rounds of a `while` begin in their order, each once."""
    rounds: dict[tuple[str, int], int] = defaultdict(int)
    for entry in story.entries:
        match entry.event:
            case ev.IterationStarted(key=key, generation=generation, index=index):
                if index != rounds[key, generation]:
                    raise Wrong(f"round {index} of {key}, and {rounds[key, generation]} was due, at {entry.position}")
                rounds[key, generation] += 1


def no_signal_is_lost(story: Story, posted: Mapping[int, str]) -> None:
    """Each signal stands in the inbox, or was received once; those of a name are taken in order, each by one step.

    What a step had taken that begins anew, or is cancelled, is there again.
    """
    places = Counter(message.payload["payload"] for message in story.inbox if message.kind == "signal")
    received: dict[int, str] = {}
    taken: dict[int, str] = {}
    done: set[str] = set()
    for entry in story.entries:
        match entry.event:
            case ev.SignalReceived(name=name, payload=payload):
                received[entry.position] = name
                places[story.value(payload)] += 1
            case ev.SignalTaken(key=key, position=position):
                if position not in received or position in taken:
                    raise Wrong(f"{key} takes the signal of {position}, which is not there or was taken")
                name = received[position]
                if older := [p for p in received if p < position and p not in taken and received[p] == name]:
                    raise Wrong(f"{key} takes the signal of {position}, and that of {older[0]} is older")
                taken[position] = str(key)
            case ev.StepSucceeded(key=key):
                done.add(str(key))
            case ev.StepCancelled(key=key):
                taken = {p: k for p, k in taken.items() if k != key and key not in owners(k)}
            case ev.BlockEntered(key=key):  # what an earlier attempt held, and did not end with what it took
                taken = {p: k for p, k in taken.items() if key not in owners(k) or k in done}
                done = {k for k in done if key not in owners(k)}
            case event if isinstance(event, ANEW):
                kept: tuple[str, ...] = getattr(event, "expanded", ())
                anew = {p for p, k in taken.items() for o in event.keys if k == o or (o not in kept and o in owners(k))}
                taken = {position: key for position, key in taken.items() if position not in anew}
    if places != Counter(posted.keys()):
        raise Wrong(f"signals {sorted(posted)} were posted, and are there: {dict(places)}")
    kept_names = {name for position, name in received.items() if position not in taken}
    for step in story.waiting():
        waits = step.waiting_for
        if story.record.waits and waits is not None and waits.kind == "signal" and waits.subject in kept_names:
            raise Wrong(f"{step.key} waits for {waits.subject}, which is there")


def no_timer_is_early(story: Story) -> None:
    """What waits for a time ends when it has come, and its time is not set anew by a restart."""
    until: dict[tuple[str, int], float | None] = {}
    for entry in story.entries:
        match entry.event:
            case ev.StepWaiting(key=key, generation=generation, until=due):
                until[key, generation] = due
            case ev.WaitOver(key=key, generation=generation):
                due = until.get((key, generation))
                if due is None or entry.at < due:
                    raise Wrong(f"{key} is woken at {entry.at}, and due at {due}")


def a_pause_knows_when_to_wake(story: Story) -> None:
    """An execution that waits is to be woken at the first time that anything in it waits for, and at no other."""
    if story.status != "paused" or not story.record.waits:
        return
    dues: list[float] = []
    fails = any(str(step.status) == "failed" for step in story.record.steps.values())  # then nobody may try again
    for step in story.record.steps.values():
        if str(step.status) in _ENDED or any(story.state(owner) in _ENDED for owner in owners(step.key)):
            continue
        waits, asked, block, failures = step.waiting_for, step.intervention, step.block, step.failures
        dues += [waits.until] if waits is not None and waits.over is None and waits.until is not None else []
        dues += [asked.deadline] if asked is not None and asked.decision is None and asked.deadline is not None else []
        dues += [block.deadline] if block is not None and block.deadline is not None and not block.late else []
        if not fails and failures and failures[-1].due_at is not None and step.attempt <= failures[-1].attempt:
            dues.append(failures[-1].due_at)
    if story.record.waits_until != (first := min(dues, default=None)):
        raise Wrong(f"it is to be woken at {story.record.waits_until}, and the first thing is due at {first}")


def nothing_is_left_under_way(story: Story) -> None:
    """Where something has ended, nothing that it holds runs or waits; what failed keeps it for a retry by hand."""
    for key, step in story.record.steps.items():
        if str(step.status) == "running" or (step.waiting and str(step.status) not in _ENDED):
            if story.status in ("completed", "cancelled"):
                raise Wrong(f"the execution is {story.status}, and {key} is {step.status}")
            for owner in owners(key):
                if (state := story.state(owner)) in _ENDED and state != "failed":
                    raise Wrong(f"{owner} is {state}, and {key} is {step.status}")


def views_agree(story: Story) -> None:
    """The row that listings read, and the status of each step, are what the events say."""
    row, record = story.row, story.record
    told = (str(row.status), row.steps_done, row.steps_failed)
    if told != (story.status, record.steps_done, record.steps_failed):
        raise Wrong(f"the row says {told}, the journal {(story.status, record.steps_done, record.steps_failed)}")
    for key, step in record.steps.items():
        entry = story.ended(key)
        word = _WORDS[type(entry.event)] if entry is not None else None
        if word is None and any(story.state(owner) == "cancelled" for owner in owners(key)):  # what a recovery ran
            continue
        if word is None and step.items_failed:  # a loop stands as failed while one of its items does
            continue
        if (str(step.status) if str(step.status) in _ENDED else None) != word:
            raise Wrong(f"{key} is {step.status}, and its last event says {word}")


def _step_of(event: Any) -> tuple[str, int] | None:
    """Which step and generation an event is about."""
    key, generation = getattr(event, "key", None), getattr(event, "generation", None)
    return None if key is None or generation is None else (str(key), generation)
