"""The view for files and pipes, and the lines of a live picture."""

import io
import threading

from tests.unit.cli.test_board import ERROR, NULL, Told, answered, asked, failed, recovering, started, succeeded

from orchestrator.cli.hints import Hints
from orchestrator.cli.paper import ASCII, Paper, Symbols
from orchestrator.cli.picture import Picture
from orchestrator.cli.views import LineView
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.store import Note
from orchestrator.types import StepKey

HINTS = Hints("orc")


class Lines:
    """A line view and what it wrote."""

    def __init__(self, *steps: str) -> None:
        self.told = Told(*steps)
        self.stream = io.StringIO()
        self.view = LineView(self.told.board, Paper(self.stream), HINTS, kept=True)
        self.view.event(Entry(1, 0.0, ev.ExecutionClaimed("host:1", 1)))

    def __call__(self, at: float, *events: ev.Event) -> None:
        for event in events:
            self.told(at, event)
            self.view.event(Entry(self.told.position, at, event))

    def note(self, at: float, kind: str, text: str, fraction: float | None = None) -> None:
        self.view.note(Note("load", 1, at, kind, text, fraction))

    @property
    def lines(self) -> list[str]:
        return [line.replace("...", "…").replace(" - ", " · ") for line in self.stream.getvalue().splitlines()]


def test_a_line_per_event() -> None:
    lines = Lines("load", "items")
    lines(0.0, started("load"))
    lines(1.0, ev.StepRetrying(StepKey("load"), 1, 1, ERROR, 3.0))
    lines(3.0, started("load", attempt=2))
    lines(61.5, succeeded("load"))
    lines(61.5, ev.LoopExpanded(StepKey("items"), 1, (NULL,)), started("items[0]"))
    lines(62.0, failed("items[0]"), ev.StepSkipped(StepKey("x"), 1, "its condition was false"))
    lines(63.0, ev.ExecutionRetried((StepKey("items[0]"),)), ev.ExecutionRetried(()))
    assert lines.lines == [
        "shop · execution x",
        "00:00.0 load started",
        "00:01.0 load failed (attempt 1), again in 2.0 s: ConnectionError: refused again",
        "00:03.0 load started (attempt 2)",
        "01:01.5 load completed (1m 02s)",
        "01:01.5 items has 1 item",
        "01:01.5 items[0] started",
        "01:02.0 items[0] failed (attempt 1): ConnectionError: refused again",
        "01:02.0 x skipped: its condition was false",
        "01:03.0 trying again: items[0]",
        "01:03.0 making the outputs again",
    ]


def test_recoveries_questions_and_restores_are_told() -> None:
    lines = Lines("fetch", "last")
    lines(0.0, ev.CheckpointCreated("00000003", "initial"))
    lines(0.0, ev.StepStarted(StepKey("fetch"), 1, 1, "Fetch\nthe orders"))
    lines(1.0, recovering("fetch", strategy="alternative_path", alternative_steps=["mirror", "copy"]))
    lines(1.0, started("fetch/mirror"), succeeded("fetch/mirror"), succeeded("fetch"))
    lines(2.0, started("last"), asked("last"))
    lines(3.0, answered("last", "retry"), answered("last", "skip", by=""), started("last", 2))
    lines(4.0, recovering("last", strategy="rollback", target_checkpoint=None))
    lines(4.0, ev.ExecutionRestored("00000003", 3, (StepKey("fetch"), StepKey("last")), cause=StepKey("last")))
    lines(5.0, ev.ExecutionRestored("gone", 0, tuple(StepKey(f"s{n}") for n in range(1234))))
    lines(5.0, ev.VariablesChanged((("a", NULL),)), ev.ExecutionCancelled("too\nlate"))
    assert lines.lines[1:] == [
        "00:00.0 fetch started: Fetch the orders",
        "00:01.0 fetch failed (attempt 1): ConnectionError: refused again",
        "00:01.0 fetch recovering: alternative mirror, then copy",
        "00:01.0 fetch/mirror started",
        "00:01.0 fetch/mirror completed (0.0 s)",
        "00:01.0 fetch completed (1.0 s)",
        "00:02.0 last started",
        "00:02.0 last failed (attempt 1): ConnectionError: refused again",
        "00:02.0 last waiting for a person: make the table",
        "00:02.0 last answer with orc answer x last retry (or skip, or abort)",
        "00:03.0 last answered: retry (by Ada)",
        "00:03.0 last answered: skip",
        "00:03.0 last started (attempt 2)",
        "00:04.0 last failed (attempt 1): ConnectionError: refused again",
        "00:04.0 last recovering: rollback to the latest checkpoint",
        "00:04.0 set back to checkpoint initial by step last; again from there: fetch, last",
        "00:05.0 set back to checkpoint gone; again from there: s0, s1, s2, s3, s4 and 1,229 more",
        "00:05.0 cancelled: too late",
    ]


def test_output_follows_its_start_within_a_bound_and_progress_comes_now_and_then() -> None:
    lines = Lines("load")
    lines.note(0.1, "stdout", "first")
    assert lines.lines == ["shop · execution x"]
    lines(0.2, started("load"))
    for n in range(40):
        lines.note(1.0, "stdout", f"line {n}")
        lines.note(1.0 + n, "progress", "going", n / 40)
    told = lines.lines[1:]
    assert told[:3] == ["00:00.2 load started", "00:00.1 load | first", "00:01.0 load | line 0"]
    assert sum("| line" in line for line in told) == 19
    assert "00:01.0 load | … more is kept for `logs`" in told
    assert [line for line in told if "%" in line] == [
        f"00:{second} load {percent}% going" for second, percent in (("11.0", 25), ("21.0", 50), ("31.0", 75))
    ]


def test_notes_of_many_threads_are_whole_lines() -> None:
    lines = Lines("load")
    lines(0.0, started("load"))
    lines.view._shown.update({("load", 1): -10_000})
    threads = [
        threading.Thread(target=lambda: [lines.note(1.0, "stdout", "x" * 50) for _ in range(200)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lines.lines[2:] == [f"00:01.0 load | {'x' * 50}"] * 800


def test_a_reader_that_is_gone_is_written_to_no_more(tmp_path: object) -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError(32, "Broken pipe")

    told = Told("load")
    view = LineView(told.board, Paper(Gone()), HINTS, kept=True)
    view.event(Entry(1, 0.0, ev.ExecutionClaimed("host:1", 1)))


def picture(told: Told, now: float, width: int = 100, height: int = 30, symbols: Symbols | None = None) -> list[str]:
    drawn = Picture(told.board, symbols or Symbols(), HINTS, kept=True).draw(now, width, height)
    return [line.plain.rstrip() for line in drawn]


def test_the_picture_of_each_state() -> None:
    told = Told("load", "items", "broken", "waiting", "never", "last")
    told(0.0, started("load"))
    told.note(0.5, "load", "1461 days")
    told(1.0, succeeded("load"), ev.LoopExpanded(StepKey("items"), 1, (NULL,) * 4), started("items[0]"))
    told(2.0, succeeded("items[0]"), started("items[1]"), started("items[2]"))
    told.note(2.0, "items[1]", "busy", 0.5)
    told(2.0, started("broken"), failed("broken"), ev.StepSkipped(StepKey("never"), 1, "its condition was false"))
    told(2.0, started("waiting"), ev.StepRetrying(StepKey("waiting"), 1, 1, ERROR, 6.0))
    assert picture(told, 4.0) == [
        "shop · execution x",
        "",
        "  ✓ load       1.0 s  1461 days",
        "  ● items        3 s  ━━━━──────────── 1/4  items[1] 50%  busy  +1",
        "  ✗ broken     0.0 s  ConnectionError: refused again",
        "  ↻ waiting      2 s  attempt 2 in 2 s: ConnectionError: refused again",
        "  ○ never             skipped",
        "  · last",
        "",
        "  2 of 6 steps · 4 s · Ctrl-C pauses",
    ]
    plain = picture(told, 4.0, symbols=ASCII)
    assert "\n".join(plain).isascii()


def test_the_picture_of_recoveries_and_questions() -> None:
    told = Told("fetch", "asked", "items", "named")
    told(0.0, *(started(key) for key in ("fetch", "asked")), ev.StepStarted(StepKey("named"), 1, 1, "The orders"))
    told(1.0, recovering("fetch", strategy="alternative_path", alternative_steps=["mirror"]), asked("asked"))
    told(1.0, ev.LoopExpanded(StepKey("items"), 1, (NULL,) * 4), *(started(f"items[{i}]") for i in range(3)))
    told(2.0, asked("items[0]"), asked("items[2]"), started("fetch/mirror"))
    told.note(2.0, "fetch/mirror", "from afar")
    assert picture(told, 4.0) == [
        "shop · execution x",
        "",
        "  ↻ fetch      4 s  recovering: alternative mirror  from afar",
        "  ? asked    1.0 s  waiting for a person: make the table",
        "  ● items      3 s  ──────────────── 0/4  2 waiting  items[1]",
        "  ● named      4 s  The orders",
        "",
        "  0 of 4 steps · 4 s · Ctrl-C pauses",
        "  answer with orc answer x asked retry (or skip, or abort)",
    ]
    told(5.0, ev.ExecutionPaused("waiting"))
    assert [line[2:11].split() for line in picture(told, 9.0)[2:6]] == [
        ["‖", "fetch"],
        ["?", "asked"],
        ["?", "items"],
        ["‖", "named"],
    ]
    assert picture(told, 9.0)[4].endswith("0/4  2 waiting  items[0] waiting for a person: make the table")


def test_no_line_is_wider_and_no_picture_higher_than_the_terminal() -> None:
    told = Told(*(f"step_with_a_long_name_{n}" for n in range(100)))
    told(0.0, *(started(f"step_with_a_long_name_{n}") for n in range(60)))
    for n in range(60):
        told.note(0.0, f"step_with_a_long_name_{n}", "wide 漢字 " * 40, 0.5)
    told(0.0, asked("step_with_a_long_name_7"))
    for width in (1, 2, 10, 40, 59, 60, 200):
        for height in (6, 10, 24, 200):
            drawn = Picture(told.board, Symbols(), HINTS, kept=True).draw(1.0, width, height)
            assert all(line.cell_len <= max(1, width - 1) for line in drawn)
            assert len(drawn) < max(height, 9)
