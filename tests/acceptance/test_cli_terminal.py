"""What a person sees while steps run: the live view, in a terminal of its own."""

import re
from pathlib import Path

import pytest
from tests.acceptance.cli_session import Terminal, write_pipeline
from tests.acceptance.test_cli_interrupt import gate_step


def shown_steps(text: str) -> list[tuple[str, str]]:
    """Sign and name of each step in the picture."""
    return re.findall(r"^  ([✓✗●·○↻‖]) (\S+)", text, flags=re.MULTILINE)


def test_every_step_with_its_state_and_at_the_end_what_came_out(tmp_path: Path) -> None:
    gate, reached = tmp_path / "items.open", tmp_path / "items.reached"
    tell = f"call: 'handlers:tell', with: {{opened: '{gate}', reached: '{reached}'}}"
    write_pipeline(
        tmp_path,
        "{id: load, call: 'handlers:loud', with: {value: 7}}",
        f"{{id: items, needs: [load], for_each: [1, 2, 3], max_parallel: 1, {tell}}}",
        "{id: never, when: false, call: 'handlers:give'}",
        "{id: last, needs: [items], call: 'handlers:give'}",
        rest="outputs: {load: '${load}'}\n",
    )
    with Terminal(tmp_path, "run", "pipeline.yaml", "--id", "live") as terminal:
        picture = terminal.wait_for("half way")
        assert "shop · execution live" in picture
        assert shown_steps(picture) == [("✓", "load"), ("●", "items"), ("○", "never"), ("·", "last")]
        assert re.search(r"● items .* 0/3  items\[0\] 50%  half way$", picture, flags=re.MULTILINE)
        assert re.search(r"^  2 of 4 steps · \d+ s · Ctrl-C pauses$", picture, flags=re.MULTILINE)
        assert not terminal.screen.cursor_shown
        gate.touch()
        assert terminal.wait() == 0
        end = terminal.screen.text
    assert shown_steps(end) == [("✓", "load"), ("✓", "items"), ("○", "never"), ("✓", "last")]
    assert "3 items" in end and "Ctrl-C" not in end
    assert "✓ completed in " in end and "  load  7\n" in end and "orchestrator show live" in end
    # What was written past us stands whole above the picture, and what was captured beside its step.
    lines = end.splitlines()
    assert lines.index("raw line") < lines.index("of a child") < lines.index("shop · execution live")
    assert lines.count("raw line") == lines.count("of a child") == 1
    assert re.search(r"✓ load .*  WARNING shop: logged$", end, flags=re.MULTILINE)
    assert terminal.screen.cursor_shown
    assert "32" in terminal.screen.colours


def test_a_failure_in_a_live_view(tmp_path: Path) -> None:
    write_pipeline(
        tmp_path,
        f"{{id: connect, call: 'handlers:fail_until', with: {{file: '{tmp_path}/x'}},"
        " retry: {max_attempts: 2, initial_delay: 2, max_delay: 2}}",
    )
    with Terminal(tmp_path, "run", "pipeline.yaml", "--id", "bad") as terminal:
        terminal.wait_for("↻ connect")
        assert re.search(r"attempt 2 in [12] s: ConnectionError: attempt 1: no connection", terminal.screen.text)
        assert terminal.wait() == 1
        text = terminal.screen.text
    assert "✗ connect" in text and "✗ step connect failed after 2 attempts" in text
    assert "orchestrator retry bad" in text


def test_a_pipeline_longer_than_the_terminal_is_shown_where_it_is_at_work(tmp_path: Path) -> None:
    chain = [f"{{id: s{n:02}, call: 'handlers:give'" + (f", needs: [s{n - 1:02}]}}" if n else "}") for n in range(40)]
    gate = gate_step(tmp_path, "s20").replace("call", "needs: [s19], call")
    write_pipeline(tmp_path, *chain[:20], gate, *chain[21:])
    with Terminal(tmp_path, "run", "pipeline.yaml", rows=14, columns=60) as terminal:
        picture = terminal.wait_for("● s20")
        assert len(picture.rstrip().splitlines()) < 14
        names = [name for _, name in shown_steps(picture)]
        assert "s20" in names and names == sorted(names)
        before, after = (int(re.findall(rf"… (\d+) more {word}", picture)[0]) for word in ("completed", "pending"))
        assert before + len(names) + after == 40
        (tmp_path / "s20.open").touch()
        assert terminal.wait() == 0
        assert "✓ completed in" in terminal.screen.text


@pytest.mark.parametrize("columns", [20, 45])
def test_a_narrow_terminal_cuts_lines_and_wraps_none(tmp_path: Path, columns: int) -> None:
    given = f"opened: '{tmp_path}/open', reached: '{tmp_path}/reached'"
    write_pipeline(tmp_path, f"{{id: a_step_with_a_rather_long_name, call: 'handlers:tell', with: {{{given}}}}}")
    with Terminal(tmp_path, "run", "pipeline.yaml", columns=columns) as terminal:
        terminal.wait_for("● a_step")
        terminal.wait_for("50%" if columns > 30 else "0 of 1 step")
        assert not terminal.screen.wrapped
        (tmp_path / "open").touch()
        assert terminal.wait() == 0


def test_no_colours_and_no_symbols_where_they_are_not_wanted(tmp_path: Path) -> None:
    write_pipeline(tmp_path, "{id: load, call: 'handlers:loud', with: {value: 7}}")
    with Terminal(tmp_path, "run", "pipeline.yaml", NO_COLOR="1", LC_ALL="C") as terminal:
        assert terminal.wait() == 0
        assert "+ load" in terminal.screen.text and terminal.screen.text.isascii()
        assert not {colour for colour in terminal.screen.colours if colour.startswith(("3", "9"))}
    with Terminal(tmp_path, "run", "pipeline.yaml", TERM="dumb") as terminal:
        assert terminal.wait() == 0
        assert "load completed" in terminal.screen.text
        assert not terminal.screen.colours


def test_faults_and_refusals_leave_the_terminal_alone(tmp_path: Path) -> None:
    write_pipeline(tmp_path, "{id: load, call: 'handlers:giv'}")
    (tmp_path / "handlers.py").write_text("print('imported')\ndef give(): pass\n")
    with Terminal(tmp_path, "run", "pipeline.yaml") as terminal:
        assert terminal.wait() == 2
        assert terminal.screen.lines[0] == "imported"
        assert "pipeline.yaml:3:" in terminal.screen.text and terminal.screen.cursor_shown
