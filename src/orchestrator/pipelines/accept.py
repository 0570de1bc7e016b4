"""What each field of the model accepts, and the sentence for what it does not.

Each is a function from what was given to what is kept, raising `Unfit`. No value is coerced by luck: `"3"` is no number
and `1` is no boolean, since a file that says one and means the other is better told so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from types import ModuleType
from typing import Any

from orchestrator.failure import ErrorCategory, ErrorSeverity
from orchestrator.pipelines import durations, moments
from orchestrator.pipelines.scanner import RESERVED
from orchestrator.pipelines.unfit import Unfit
from orchestrator.pipelines.wording import kind_of, one_of, shorten

IDENTIFIER = r"[A-Za-z_]\w*"
TARGET = r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*"
ENVIRONMENT_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
EXCEPTION = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
#: The words that `retry.on` and `on_error` know.
CATEGORIES = tuple(str(category) for category in ErrorCategory)
SEVERITIES = tuple(str(severity) for severity in ErrorSeverity)


# -- words and names ------------------------------------------------------------------------------------------------


def text(value: Any) -> str:
    """Any text."""
    if not isinstance(value, str):
        hint = f'put it in quotes: "{shorten(str(value))}"' if isinstance(value, (bool, int, float)) else ""
        raise Unfit(f"expected text, got {kind_of(value)}", hint=hint)
    return str(value)


def name(value: Any) -> str:
    """A text that is not empty."""
    if not text(value).strip():
        raise Unfit("expected a name, got an empty text")
    if "${" in value:
        raise Unfit("this name is fixed: a ${…} in it is not filled in")
    return str(value)


def phrase(value: Any) -> str:
    """A text that is not empty, taken as it stands."""
    if not text(value).strip():
        raise Unfit("expected a text, got an empty one")
    if "${" in value:
        raise Unfit("this text is fixed: a ${…} in it is not filled in")
    return str(value)


def wording(value: Any) -> str:
    """A text that is not empty and may hold `${…}`."""
    if not text(value).strip():
        raise Unfit("expected a text, got an empty one")
    return str(value)


def exception(value: Any) -> str:
    """The name of a type of exceptions."""
    if not re.fullmatch(EXCEPTION, text(value)):
        hint = "for example ValueError or requests.exceptions.Timeout"
        raise Unfit(f"{shorten(value)!r} is no name of an exception", hint=hint)
    return str(value)


def identifier(value: Any) -> str:
    """A name that a template can use."""
    if not re.fullmatch(IDENTIFIER, text(value)):
        better = re.sub(r"\W+", "_", value).strip("_")
        hint = f"for example {better}" if re.fullmatch(IDENTIFIER, better) else ""
        raise Unfit(f"{shorten(value)!r} is no name: letters, digits and '_', not a digit first", hint=hint)
    if value in RESERVED:
        raise Unfit(f"{value!r} is a word of the expression language; choose another name")
    if len(value) > 100:
        raise Unfit(f"a name has at most 100 characters, this one {len(value)}")
    return str(value)


def word(words: Sequence[str], what: str) -> Callable[[Any], str]:
    """One of some words."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            given = value if isinstance(value, str) else ""
            message = f"expected {one_of(words)} as {what}, got {kind_of(value)}"
            raise Unfit(message, name=given, known=words)
        return str(value)

    return check


def target(value: Any) -> str:
    """`module:function`, or a function of a module, which is kept as that."""
    if callable(value) and not isinstance(value, str):
        return _target_of(value)
    if not re.fullmatch(TARGET, text(value)):
        dotted = value.rpartition(".")
        hint = f"for example {dotted[0]}:{dotted[2]}" if ":" not in value and all(dotted) else ""
        raise Unfit(f"{shorten(value)!r} is no handler: expected module:function", hint=hint)
    return str(value)


def _target_of(function: Callable[..., Any]) -> str:
    module, qualname = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    owner = getattr(function, "__self__", None)  # of a builtin function: its module
    if not module or not qualname or not (owner is None or isinstance(owner, ModuleType)):
        raise Unfit(f"{function!r:.80} has no name to be found by after a restart; write a function of a module")
    if "<lambda>" in qualname:
        raise Unfit("a lambda has no name to be found by after a restart; write a function of a module")
    if "<locals>" in qualname:
        short = qualname.rpartition(".")[2]
        raise Unfit(
            f"{short!r} is defined inside of a function and cannot be found after a restart; move it to its module"
        )
    return f"{module}:{qualname}"


# -- what a command is made of --------------------------------------------------------------------------------------


def argument(value: Any) -> str:
    """One word of a command."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return text(value)


def environment_value(value: Any) -> str:
    """The value of an environment variable."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return argument(value)


def environment_name(value: Any) -> str:
    """The name of an environment variable."""
    if not re.fullmatch(ENVIRONMENT_NAME, text(value)):
        raise Unfit(f"{shorten(value)!r} is no name of an environment variable")
    return str(value)


# -- numbers --------------------------------------------------------------------------------------------------------


def boolean(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Unfit(f"expected true or false, got {kind_of(value)}")
    return value


def whole(least: int, most: int) -> Callable[[Any], int]:
    """A whole number within bounds."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Unfit(f"expected a whole number from {least} to {most:,}, got {kind_of(value)}")
        return value

    return check


def number(least: float, most: float) -> Callable[[Any], float]:
    """A number within bounds."""

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise Unfit(f"expected a number from {least:g} to {most:g}, got {kind_of(value)}")
        return float(value)

    return check


def duration(value: Any) -> float:
    """Seconds."""
    try:
        return durations.seconds(value)
    except ValueError as error:
        better = durations.suggestion(value) if isinstance(value, str) else ""
        raise Unfit(str(error), hint=f"write {better}" if better else "") from None


def time_limit(value: Any) -> float:
    """Seconds, more than none."""
    if (limit := duration(value)) == 0:
        raise Unfit("a timeout is longer than 0")
    return limit


def wait(value: Any) -> float | str:
    """A duration in seconds, a moment as text, or a text with `${…}` that gives one of both."""
    if isinstance(value, date):
        return _moment(value, value.isoformat())
    if isinstance(value, str) and "${" in value:
        return str(value)
    if isinstance(value, str) and moments.is_like_one(value):
        return _moment(value, value.strip())
    try:
        return duration(value)
    except Unfit as unfit:
        if "lies between" in str(unfit):
            raise
        message = f"expected a duration such as 90, 5m or 2d, or a moment such as 2026-12-01T08:00, got {value!r:.60}"
        raise Unfit(message, hint=unfit.hint) from None


def _moment(value: object, written: str) -> str:
    try:
        moments.moment(value)
    except ValueError as error:
        raise Unfit(str(error)) from None
    return written


# -- numbers or words -----------------------------------------------------------------------------------------------

JOINS = ("all", "any")
ITEM_FAILURES = ("stop", "collect")


def join(value: Any) -> int | str:
    """How many branches must end well."""
    if isinstance(value, str) and value in JOINS:
        return str(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1_000_000:
        given = value if isinstance(value, str) else ""
        raise Unfit(
            f"expected all, any or a whole number from 1 as join, got {kind_of(value)}", name=given, known=JOINS
        )
    return value


def item_failure(value: Any) -> str | float:
    """A word, or the share of the items that may fail: from 0 to 1."""
    if isinstance(value, str) and value in ITEM_FAILURES:
        return str(value)
    share = value
    if isinstance(value, str) and re.fullmatch(r"\d{1,3}(\.\d{1,9})?\s*%", value, re.ASCII):
        share = float(value.rstrip("% ")) / 100
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        given = value if isinstance(value, str) else ""
        message = f"expected stop, collect or a share such as 10% or 0.1, got {kind_of(value)}"
        raise Unfit(message, name=given, known=ITEM_FAILURES)
    return float(share)


# -- references to pipelines ----------------------------------------------------------------------------------------

#: What the name of a file of a pipeline ends with.
FILE_ENDINGS = (".yaml", ".yml")


def is_file(ref: str) -> bool:
    """Whether a reference is the path of a file."""
    return ref.lower().endswith(FILE_ENDINGS)


def pipeline_file(value: Any) -> str:
    """The path of the file of a pipeline."""
    if not is_file(name(value)):
        raise Unfit(f"{shorten(value)!r} is no file of a pipeline: its name ends with .yaml or .yml")
    return str(value)


def pipeline_name(value: Any) -> str:
    """A name that `pipelines` gives."""
    if name(value) == ".":
        raise Unfit("'.' names the pipeline of the file itself; choose another name")
    return str(value)
