"""Where in a shell text one stands: follows the quoting of POSIX sh.

Quotes, escapes, `$(…)`, backquotes, comments, here-documents and arithmetic; no more, since all that is asked is
whether the shell would expand a `${…}` at a place, and whether it would split it into words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import ClassVar

_HEREDOC = re.compile(r"""<<(-?)[ \t]*(?:'([^'\n]+)'|"([^"\n]+)"|(\\?)([A-Za-z_]\w*))""")


class _In(Enum):
    """What the shell is in the middle of."""

    COMMAND = auto()
    BACKQUOTE = auto()
    SINGLE = auto()
    DOUBLE = auto()
    ARITHMETIC = auto()
    COMMENT = auto()
    HEREDOC = auto()
    LITERAL_HEREDOC = auto()


class Quoting:
    """Follows the quoting of a shell text that is fed piece by piece."""

    def __init__(self) -> None:
        self._stack = [_In.COMMAND]
        self._parentheses = [0]  # open '(' of each COMMAND or ARITHMETIC on the stack
        self._word_begins = True
        self._heredocs: list[tuple[str, bool, bool]] = []  # delimiter, quoted, tabs are stripped
        self._line = ""  # of the here-document that is being read
        self._escaped = False  # the last character was a '\\'

    @property
    def bare(self) -> bool:
        """Whether a word here would be split and globbed."""
        return self._state in (_In.COMMAND, _In.BACKQUOTE)

    @property
    def _state(self) -> _In:
        return self._stack[-1]

    def feed(self, text: str) -> None:
        """Read on."""
        at = 1 if self._escaped else 0
        while at < len(text):
            at = self._STEPS[self._state](self, text, at)
        self._escaped = at > len(text)

    def fault(self, placeholder: str) -> str:
        """Why a placeholder cannot stand here; empty where it can."""
        if self._escaped:
            return f"a '\\' stands before {placeholder}; a '${{' that the shell is to see is written '$${{'"
        if self._state is _In.SINGLE:
            return f"{placeholder} stands between single quotes, where the shell expands nothing; use double quotes"
        if self._state is _In.ARITHMETIC:
            return f"{placeholder} stands in $((…)), where its value would run as code; compute it between the braces"
        if self._state is _In.LITERAL_HEREDOC:
            return f"{placeholder} stands in a here-document whose delimiter is quoted, where the shell expands nothing"
        return ""

    # -- one step each: takes the text and an offset, gives the next offset -------------------------------------------

    def _command(self, text: str, at: int) -> int:
        char = text[at]
        begins, self._word_begins = self._word_begins, char in " \t\n;|&("
        if char == "#" and begins:
            self._stack.append(_In.COMMENT)
        elif char == "\n" and self._heredocs:
            self._begin_heredoc()
        elif char == ")":
            self._close()
        elif char == "(":
            self._parentheses[-1] += 1
        elif match := _HEREDOC.match(text, at):
            quoted = not match[5] or bool(match[4])
            self._heredocs.append((match[2] or match[3] or match[5], quoted, match[1] == "-"))
            return match.end()
        elif char == "<" and text.startswith("<<<", at):
            return at + 3
        elif char == "'":
            self._stack.append(_In.SINGLE)
        elif char == '"':
            self._stack.append(_In.DOUBLE)
        else:
            return self._common(text, at)
        return at + 1

    def _double(self, text: str, at: int) -> int:
        if text[at] == '"':
            self._stack.pop()
            return at + 1
        return self._common(text, at)

    def _common(self, text: str, at: int) -> int:
        """What means the same in a command, in double quotes, in arithmetic and in a here-document."""
        if text[at] == "\\":
            return at + 2
        for opening, state in (("$((", _In.ARITHMETIC), ("$(", _In.COMMAND)):
            if text.startswith(opening, at):
                self._open(state)
                return at + len(opening)
        if text[at] == "`" and self._state is _In.BACKQUOTE:
            self._leave()
        elif text[at] == "`":
            self._open(_In.BACKQUOTE)
        return at + 1

    def _single(self, text: str, at: int) -> int:
        end = text.find("'", at)
        if end < 0:
            return len(text)
        self._stack.pop()
        return end + 1

    def _comment(self, text: str, at: int) -> int:
        end = text.find("\n", at)
        if end < 0:
            return len(text)
        self._stack.pop()
        self._word_begins = True
        return end  # the command sees the end of the line

    def _arithmetic(self, text: str, at: int) -> int:
        if text.startswith("))", at) and self._parentheses[-1] == 0:
            self._leave()
            return at + 2
        self._parentheses[-1] += {"(": 1, ")": -1}.get(text[at], 0)
        return self._common(text, at)

    def _heredoc(self, text: str, at: int) -> int:
        delimiter, quoted, tabs = self._heredocs[0]
        char = text[at]
        if char == "\n":
            line, self._line = self._line, ""
            if (line.lstrip("\t") if tabs else line) == delimiter:
                self._stack.pop()
                self._heredocs.pop(0)
                if self._heredocs:
                    self._begin_heredoc()
            return at + 1
        self._line += char
        return at + 1 if quoted else max(at + 1, self._common(text, at))

    # -- what is open ---------------------------------------------------------------------------------------------

    def _begin_heredoc(self) -> None:
        self._stack.append(_In.LITERAL_HEREDOC if self._heredocs[0][1] else _In.HEREDOC)
        self._word_begins = True

    def _open(self, state: _In) -> None:
        self._stack.append(state)
        self._parentheses.append(0)
        self._word_begins = True

    def _close(self) -> None:
        if self._parentheses[-1] > 0:
            self._parentheses[-1] -= 1
        elif self._state is _In.COMMAND and len(self._stack) > 1:
            self._leave()

    def _leave(self) -> None:
        self._stack.pop()
        self._parentheses.pop()
        self._word_begins = False

    _STEPS: ClassVar[dict[_In, Callable[[Quoting, str, int], int]]] = {
        _In.COMMAND: _command,
        _In.BACKQUOTE: _command,
        _In.SINGLE: _single,
        _In.DOUBLE: _double,
        _In.ARITHMETIC: _arithmetic,
        _In.COMMENT: _comment,
        _In.HEREDOC: _heredoc,
        _In.LITERAL_HEREDOC: _heredoc,
    }
