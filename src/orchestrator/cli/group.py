"""The root command, and the register of the others.

A command is imported when it is called. Its one line of help stands here as well, so that `--help`, a mistyped name and
the shell's completion import none of them (click would ask each for its help).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from orchestrator import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: Section of the help -> command -> (where it is, its line of help).
SECTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Run": {
        "run": ("running:run", "Run a pipeline to its end."),
        "resume": ("going_on:resume", "Go on with an execution that was interrupted or killed, or that waits."),
        "retry": ("going_on:retry", "Run the failed steps of a failed execution again."),
        "rerun": ("going_on:rerun", "Run a step and all that depends on it afresh, whatever they came to."),
        "fork": ("forking:fork", "Make a new execution that begins where another one stood, and go on with it."),
    },
    "Control": {
        "answer": ("answering:answer", "Answer a step that waits for a person, and go on."),
        "signal": ("sending:signal", "Send a signal to an execution."),
        "pause": ("control:pause", "Pause an execution when what runs of it has ended."),
        "cancel": ("control:cancel", "Give an execution up, and show that it has stopped."),
        "restore": ("forking:restore", "Set an execution back to a checkpoint."),
    },
    "Serve": {
        "scheduler": ("serving:scheduler", "Go on with what is due, queued or abandoned, until Ctrl-C."),
        "recover": ("serving:recover", "Carry on what lies abandoned, once, and end."),
    },
    "Look": {
        "list": ("listing:list_executions", "List executions, newest first."),
        "show": ("showing:show", "Show one execution: its steps, what came out, what went wrong."),
        "history": ("history:history", "Show the events of one execution."),
        "logs": ("logs:logs", "Show what the steps of one execution printed and logged."),
        "approvals": ("approvals:approvals", "List everything that waits for a person, the oldest first."),
        "checkpoints": ("forking:checkpoints", "List the checkpoints of one execution, oldest first."),
        "plan": ("planning:plan", "Show what resume, retry or rerun would do with each step, and why."),
        "check-replay": ("replaying:check_replay", "Check that executions can be gone on with by the code of today."),
        "du": ("sizes:du", "Show how many bytes each execution takes, or each step of one."),
    },
    "Write": {
        "init": ("init:init", "Write a small pipeline that runs, to start from."),
        "validate": ("files:validate", "Check a pipeline without running it."),
        "test": ("testing:test", "Run the tests of a pipeline, which stand in a file beside it."),
        "graph": ("files:graph", "Draw the graph of a pipeline file."),
        "schema": ("files:schema", "Print the JSON Schema of the pipeline format, for editors."),
    },
}

_EPILOG = """\b
Exit codes
  0    done
  1    the execution failed or was cancelled
  2    bad input: a faulty file, option, input or id; code unlike its journal
  3    the execution waits for a person, a time or a signal
  4    another process has the execution, or its concurrency key is taken
  5    the store failed
  130  interrupted; `resume` goes on
"""


class LazyGroup(click.Group):
    """A group whose commands are imported at their first use."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments, which must be text: no journal, and no SQLite file, can have another name in it."""
        for arg in args:
            try:
                arg.encode()
            except UnicodeEncodeError:
                shown = ascii(arg).replace("\\udc", "\\x")
                raise click.UsageError(f"the argument {shown} is not UTF-8; rename what it stands for", ctx) from None
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, in the order of the register."""
        return [name for commands in SECTIONS.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        for commands in SECTIONS.values():
            if cmd_name in commands:
                module, attribute = commands[cmd_name][0].split(":")
                found: click.Command = getattr(import_module(f"orchestrator.cli.{module}"), attribute)
                return found
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names; a name that is not known gets the nearest ones."""
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.NoSuchCommand(args[0], possibilities=known, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The register, section by section."""
        widest = max(len(name) for name in self.list_commands(ctx))
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(widest), line) for name, (_, line) in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names that begin so, with their help."""
        from click.shell_completion import CompletionItem

        lines = {name: line for commands in SECTIONS.values() for name, (_, line) in commands.items()}
        found = [CompletionItem(name, help=line) for name, line in lines.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


def _show_version(ctx: click.Context, _param: click.Parameter, wanted: Any) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"orchestrator {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)
def root() -> None:
    """Durable pipelines: kill the process at any moment, resume where it stood."""
