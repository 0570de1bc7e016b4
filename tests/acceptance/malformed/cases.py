"""A hundred ways to write a definition wrong, and what is to be said about each.

A case is (name, text or bytes, position of the fault, a piece of its message). `step` and `top` are frames that put one
wrong line into an otherwise sound file, so that the position is that of the wrong thing.
"""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """`line` and `column` count from 1; 0 where the whole file is at fault and no line can be shown."""

    name: str
    text: str | bytes
    line: int
    column: int
    message: str


def step(*lines: str) -> str:
    """A pipeline whose second step has these lines; the first of them is line 6 of the file, from column 5."""
    head = (
        "pipeline: p\ninputs: {given: {default: 1}}\nsteps:\n"
        "  - {id: first, call: 'm:f', returns: [rows]}\n  - id: second\n"
    )
    return head + "".join(f"    {line}\n" for line in lines)


def top(*lines: str) -> str:
    """A pipeline with these lines before its steps; the first of them is line 2."""
    return "pipeline: p\n" + "".join(f"{line}\n" for line in lines) + "steps: [{id: first, call: 'm:f'}]\n"


def bomb(levels: int, width: int) -> str:
    """Anchors of aliases of anchors: `width ** levels` nodes in a few lines."""
    lines = [f"a0: &a0 [{', '.join('x' * width)}]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{', '.join(f'*a{level - 1}' for _ in range(width))}]")
    return "\n".join(lines)


CASES = [
    # -- the file as a whole
    Case("empty", "", 1, 1, "the file is empty"),
    Case("blank lines", "\n\n  \n", 1, 1, "the file is empty"),
    Case("comments only", "# nothing\n# here\n", 1, 1, "the file is empty"),
    Case("null", "null\n", 1, 1, "the file is empty"),
    Case("a list", "- id: a\n", 1, 1, "expected a mapping, got a list of 1"),
    Case("a text", "hello\n", 1, 1, "expected a mapping, got the text 'hello'"),
    Case("a number", "42\n", 1, 1, "expected a mapping, got the number 42"),
    Case("ten megabytes", b"steps:\n" + b"- {id: a}\n" * 1_000_000, 0, 0, "is larger than 1,000,000 bytes"),
    Case("ten megabytes of zeros", b"\0" * 10_000_000, 0, 0, "is larger than 1,000,000 bytes"),
    Case("an image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01", 1, 1, "is binary"),
    Case("a database", b"SQLite format 3\0\x10\0\x01\x01\0@  ", 1, 16, "U+0000 is not allowed"),
    Case("a zip file", b"PK\x03\x04\x14\0\0\0\x08\0", 1, 3, "U+0003 is not allowed"),
    Case("a NUL", b"pipeline: p\nsteps: \0\n", 2, 8, "U+0000 is not allowed"),
    Case("a bell", "pipeline: \a\n", 1, 11, "U+0007 is not allowed"),
    Case("Latin-1", "pipeline: p\ndescription: größe\n".encode("latin-1"), 2, 16, "is not UTF-8: byte 0xf6"),
    Case("UTF-16", "pipeline: p\n".encode("utf-16"), 1, 1, "is binary"),
    Case("a half surrogate", b"pipeline: \xed\xa0\x80\n", 1, 11, "is not UTF-8"),
    # -- the syntax of YAML
    Case("tab as indentation", "pipeline: p\nsteps:\n\t- id: a\n", 3, 1, "a tab cannot indent"),
    Case("two colons", "pipeline: a: b\n", 1, 12, "no ':' can stand here"),
    Case("open bracket", "pipeline: p\nsteps: [{id: a}\n", 3, 1, "a ',' or ']' is missing"),
    Case("open brace", "pipeline: p\ninputs: {a: {type: list}\nsteps: []\n", 3, 1, "a ',' or '}' is missing"),
    Case("open quote", 'pipeline: "p\nsteps: []\n', 1, 11, "the closing quote is missing"),
    Case("text after a quote", "pipeline: 'p' q\n", 1, 15, "expected the next key"),
    Case("a dash too few", "pipeline: p\nsteps:\n  - id: a\n  id: b\n", 4, 3, "must begin with '-'"),
    Case("a key without colon", "pipeline: p\nsteps\n", 3, 1, "a ':' is missing"),
    Case("crooked indentation", "pipeline: p\n steps: []\n", 2, 7, "no ':' can stand here"),
    Case("at sign", "pipeline: @p\n", 1, 11, "a text cannot begin with '@'"),
    Case("backquote", "pipeline: `p`\n", 1, 11, "a text cannot begin with '`'"),
    Case("percent", "pipeline: p\nsteps: %x\n", 2, 8, "a text cannot begin with '%'"),
    Case("unknown escape", 'pipeline: "\\q"\n', 1, 12, "unknown escape"),
    Case("placeholder without quotes", step("call: m:f", "with: {a: ${given}}"), 7, 16, "needs quotes"),
    Case("two documents", "pipeline: p\n---\npipeline: q\n", 2, 1, "a second document begins here"),
    Case("document end", "pipeline: p\n...\nsteps: []\n", 3, 1, "nothing may stand here"),
    Case("unknown directive", "%YAML 3.0\n---\npipeline: p\n", 1, 1, "incompatible YAML document"),
    Case("lone anchor sign", "pipeline: &\n", 1, 12, "'&' begins an anchor"),
    # -- what YAML allows and a definition does not
    Case("duplicate key", "pipeline: p\npipeline: q\n", 2, 1, "duplicate key 'pipeline': it stands in line 1"),
    Case("duplicate key in a step", step("call: m:f", "call: m:g"), 7, 5, "duplicate key 'call'"),
    Case("duplicate key in braces", top("inputs: {a: {type: list, type: path}}"), 2, 26, "duplicate key 'type'"),
    Case("number as key", top("outputs: {1: x}"), 2, 11, "a key must be text, not the number 1"),
    Case("true as key", top("outputs:", "  true: x"), 3, 3, "a key must be text, not true"),
    Case("null as key", top("outputs:", "  ~: x"), 3, 3, "a key must be text, not null"),
    Case("list as key", top("outputs:", "  ? [a]", "  : x"), 3, 5, "a key must be text, not a list"),
    Case("mapping as key", top("outputs: {{a: b}: x}"), 2, 11, "a key must be text, not a list or a mapping"),
    Case("merge key", top("defaults: &d {timeout: 5}", "outputs:", "  <<: *d"), 4, 3, "merge keys"),
    Case("python tag", "pipeline: !!python/object/apply:os.system [id]\n", 1, 11, "tags are not allowed"),
    Case("string tag", "pipeline: !!str p\n", 1, 11, "tags are not allowed: !!str"),
    Case("own tag", "pipeline: !secret p\n", 1, 11, "tags are not allowed: !secret"),
    Case("bare tag", "pipeline: ! p\n", 1, 11, "tags are not allowed: !"),
    Case("unknown alias", "pipeline: &name p\ndescription: *nam\n", 2, 14, "no anchor &nam stands before this"),
    Case("alias of itself", "pipeline: p\noutputs: &o {a: *o}\n", 2, 17, "inside of what it refers to"),
    Case("anchor bomb", bomb(9, 9), 6, 10, "more than 100,000 nodes"),
    Case("wide bomb", bomb(2, 400), 2, 1250, "more than 100,000 nodes"),
    Case("deep brackets", "pipeline: " + "[" * 200_000, 1, 74, "nested more than 64 deep"),
    Case("deep braces", "{a: " * 200_000, 1, 257, "nested more than 64 deep"),
    Case("deep dashes", "- " * 300_000, 1, 129, "nested more than 64 deep"),
    Case(
        "deep by aliases",
        "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 90))]),
        64,
        12,
        "nested more",
    ),
    Case("many nodes", "outputs: [" + "a," * 200_000 + "]", 1, 200_009, "more than 100,000 nodes"),
    Case("endless number", top(f"outputs: {{n: {'9' * 5000}}}"), 2, 14, "more than 1000 digits"),
    # -- keys
    Case("no name", "steps: [{id: a, call: 'm:f'}]\n", 1, 1, "needs the key 'pipeline'"),
    Case("no steps", "pipeline: p\n", 1, 1, "needs the key 'steps'"),
    Case("steps empty", "pipeline: p\nsteps: []\n", 2, 8, "at least one step"),
    Case("steps null", "pipeline: p\nsteps:\n", 2, 7, "expected a list, got null"),
    Case("steps a mapping", "pipeline: p\nsteps: {a: {call: 'm:f'}}\n", 2, 8, "expected a list, got a mapping of 1"),
    Case("unknown top key", top("stpes: []"), 2, 1, "unknown key 'stpes' (did you mean 'steps'?)"),
    Case(
        "misspelt name",
        "pipelin: p\nsteps: [{id: a, call: 'm:f'}]\n",
        1,
        1,
        "unknown key 'pipelin' (did you mean 'pipeline' or ",
    ),
    Case("step is a text", "pipeline: p\nsteps:\n  - load\n", 3, 5, "expected a mapping, got the text 'load'"),
    Case("step without id", "pipeline: p\nsteps:\n  - call: m:f\n", 3, 5, "a step needs the key 'id'"),
    Case("unknown step key", step("call: m:f", "wiht: {a: 1}"), 7, 5, "unknown key 'wiht' (did you mean 'with' or "),
    Case("key of Python", step("call: m:f", "with_: {a: 1}"), 7, 5, "unknown key 'with_' (did you mean 'with' or "),
    Case("key in capitals", step("call: m:f", "Timeout: 5"), 7, 5, "unknown key 'Timeout' (did you mean 'timeout'?)"),
    Case("misspelt kind", step("cal: m:f"), 6, 5, "unknown key 'cal' (did you mean 'call'?)"),
    Case("no kind", step("timeout: 5"), 5, 5, "return and fail; this one has none of them"),
    Case("two kinds", step("call: m:f", "run: ls"), 7, 5, "this one has call and run"),
    Case(
        "with at run", step("run: ls", "with: {a: 1}"), 7, 5, "'with' belongs to call or pipeline, this step is 'run'"
    ),
    Case("env at call", step("call: m:f", "env: {A: b}"), 7, 5, "'env' belongs to run"),
    Case("timeout at set", step("set: {a: 1}", "timeout: 5"), 7, 5, "'timeout' does not go with 'set'"),
    Case("as without loop", step("call: m:f", "as: row"), 7, 5, "'as' belongs to for_each"),
    Case("parallel without loop", step("call: m:f", "max_parallel: 2"), 7, 5, "'max_parallel' belongs to for_each"),
    Case("unknown retry key", step("call: m:f", "retry: {max_attempt: 3}"), 7, 13, "did you mean 'max_attempts'?"),
    Case("unknown rule key", step("call: m:f", "on_error: [{catgory: network, strategy: skip}]"), 7, 17, "'category'?"),
    Case(
        "rule without strategy", step("call: m:f", "on_error:", "  - category: network"), 8, 9, "a rule needs the key"
    ),
    Case(
        "option of another strategy",
        step("call: m:f", "on_error: [{strategy: skip, max_attempts: 3}]"),
        7,
        33,
        "'max_attempts' belongs to retry or retry_with_backoff, the strategy of this rule is 'skip'",
    ),
    Case(
        "output of another strategy",
        step("call: m:f", "on_error: [{strategy: rollback, output: '${given}'}]"),
        7,
        37,
        "'output' belongs to skip",
    ),
    Case(
        "rules at set", step("set: {a: 1}", "on_error: [{strategy: skip}]"), 7, 5, "'on_error' does not go with 'set'"
    ),
    Case("unknown input key", top("inputs: {a: {typ: list}}"), 2, 14, "unknown key 'typ' (did you mean 'type'?)"),
    Case("unknown default key", top("defaults: {retries: 3}"), 2, 12, "unknown key 'retries' (did you mean 'retry'?)"),
    # -- values
    Case("name empty", "pipeline: ''\nsteps: [{id: a, call: 'm:f'}]\n", 1, 11, "expected a name, got an empty text"),
    Case("name a number", "pipeline: 3\nsteps: [{id: a, call: 'm:f'}]\n", 1, 11, "expected text, got the number 3"),
    Case(
        "id endless",
        f"pipeline: p\nsteps: [{{id: {'a' * 101}, run: ls}}]\n",
        2,
        14,
        "at most 100 characters, this one 101",
    ),
    Case("id with dash", "pipeline: p\nsteps: [{id: load-data, call: 'm:f'}]\n", 2, 14, "for example load_data"),
    Case("id a number", "pipeline: p\nsteps: [{id: 1, call: 'm:f'}]\n", 2, 14, "expected text, got the number 1"),
    Case(
        "id a reserved word",
        "pipeline: p\nsteps: [{id: if, call: 'm:f'}]\n",
        2,
        14,
        "a word of the expression language",
    ),
    Case(
        "handler with a dot",
        step("call: m.f"),
        6,
        11,
        "'m.f' is no handler: expected module:function (for example m:f)",
    ),
    Case("handler a list", step("call: [m, f]"), 6, 11, "expected text, got a list of 2"),
    Case("command empty", step("run: []"), 6, 10, "the command is empty"),
    Case("command blank", step("run: ' '"), 6, 10, "the command is empty"),
    Case("command a mapping", step("run: {ls: x}"), 6, 10, "expected a command as text or as a list"),
    Case("argument null", step("run: [ls, null]"), 6, 15, "expected text, got null"),
    Case("argument true", step("run: [ls, true]"), 6, 15, "expected text, got true"),
    Case("arguments a list", step("call: m:f", "with: [a]"), 7, 11, "expected a mapping of arguments, got a list of 1"),
    Case("environment name", step("run: ls", "env: {A-B: c}"), 7, 11, "'A-B' is no name of an environment variable"),
    Case("sets nothing", step("set: {}"), 6, 10, "this step sets nothing"),
    Case("variable name", step("set: {a b: 1}"), 6, 11, "'a b' is no name"),
    Case("timeout in words", step("call: m:f", "timeout: fast"), 7, 14, "expected a duration such as 90, 90s, 5m"),
    Case("timeout of minutes", step("call: m:f", "timeout: 5 minutes"), 7, 14, "expected a duration"),
    Case("timeout of nothing", step("call: m:f", "timeout: 0"), 7, 14, "a timeout is longer than 0"),
    Case("timeout below nothing", step("call: m:f", "timeout: -5"), 7, 14, "between 0 and 365 days"),
    Case("timeout for ever", step("call: m:f", "timeout: .inf"), 7, 14, "expected a duration"),
    Case("retry a number", step("call: m:f", "retry: 3"), 7, 12, "for example `retry: {max_attempts: 3}`"),
    Case("no attempts", step("call: m:f", "retry: {max_attempts: 0}"), 7, 27, "expected a whole number from 1"),
    Case("attempts as text", step("call: m:f", 'retry: {max_attempts: "3"}'), 7, 27, "got the text '3'"),
    Case("half an attempt", step("call: m:f", "retry: {max_attempts: 1.5}"), 7, 27, "got the number 1.5"),
    Case("unknown category", step("call: m:f", "retry: {on: [netwrok]}"), 7, 18, "did you mean 'network'?"),
    Case("category alone", step("call: m:f", "retry: {on: network}"), 7, 17, "write [network]"),
    Case("delay too long", step("call: m:f", "retry: {initial_delay: 2m}"), 7, 28, "longer than max_delay"),
    Case("jitter above one", step("call: m:f", "retry: {jitter: 2}"), 7, 21, "expected a number from 0 to 1"),
    Case("backoff as a word", step("call: m:f", "retry: {exponential_backoff: yes}"), 7, 34, "expected true or false"),
    Case(
        "rules a mapping", step("call: m:f", "on_error: {strategy: skip}"), 7, 15, "expected a list, got a mapping of 1"
    ),
    Case("no rules", step("call: m:f", "on_error: []"), 7, 15, "on_error needs at least one rule"),
    Case("unknown strategy", step("call: m:f", "on_error: [{strategy: rolback}]"), 7, 27, "did you mean 'rollback'?"),
    Case(
        "unknown category in a list",
        step("call: m:f", "on_error: [{category: [timeout, netwrok], strategy: skip}]"),
        7,
        37,
        "did you mean 'network'?",
    ),
    Case("unknown severity", step("call: m:f", "on_error: [{severity: hi, strategy: skip}]"), 7, 27, "medium, high or"),
    Case("no status", step("call: m:f", "on_error: [{status: 5, strategy: skip}]"), 7, 25, "from 100 to 599"),
    Case(
        "no exception", step("call: m:f", "on_error: [{exception: Key Error, strategy: skip}]"), 7, 28, "is no name of"
    ),
    Case("category empty", step("call: m:f", "on_error: [{category: [], strategy: skip}]"), 7, 27, "matches nothing"),
    Case("message empty", step("call: m:f", "on_error: [{message: '', strategy: skip}]"), 7, 26, "got an empty one"),
    Case(
        "output a template",
        step("call: m:f", "on_error: [{strategy: skip, output: [1, '${given}']}]"),
        7,
        45,
        "this output is a plain value: a ${…} in it is not filled in",
    ),
    Case(
        "nothing for the person",
        step("call: m:f", "on_error: [{strategy: manual_intervention}]"),
        7,
        27,
        "manual_intervention needs the key 'instructions'",
    ),
    Case(
        "no other path", step("call: m:f", "on_error: [{strategy: alternative_path}]"), 7, 27, "needs the key 'steps'"
    ),
    Case(
        "rule behind all",
        step("call: m:f", "on_error:", "  - strategy: skip", "  - strategy: fail_fast"),
        9,
        9,
        "no error comes to this rule: the one before it matches every error",
    ),
    Case("important a number", step("call: m:f", "important: 1"), 7, 16, "expected true or false, got the number 1"),
    Case("parse as XML", step("run: ls", "parse: xml"), 7, 12, "expected text or json as parse"),
    Case("unknown runner", step("call: m:f", "runner: thread"), 7, 13, "expected process as runner"),
    Case("no parallel", step("call: m:f", "for_each: [1]", "max_parallel: 0"), 8, 19, "expected a whole number from 1"),
    Case("checkpoint of a template", step("call: m:f", "checkpoint: c-${given}"), 7, 17, "this name is fixed"),
    Case("needs a text", step("call: m:f", "needs: first"), 7, 12, "write [first]"),
    Case("unknown type", top("inputs: {a: {type: numbr}}"), 2, 20, "did you mean 'number'?"),
    Case("input with dash", top("inputs: {a-b: {}}"), 2, 10, "'a-b' is no name"),
    Case("input a value", top("inputs: {a: 3}"), 2, 13, "for example `inputs: {hot: {type: number, default: 25}}`"),
    Case("inputs a list", top("inputs: [a, b]"), 2, 9, "expected a mapping, got a list of 2"),
    Case(
        "default of another type",
        top("inputs: {a: {type: list, default: 3}}"),
        2,
        35,
        "expected a list, got the number 3",
    ),
    Case("default a template", top("inputs: {a: {default: '${first}'}}"), 2, 23, "an input is a plain value"),
    # -- names and fields
    Case(
        "unknown name",
        step("call: m:f", 'with: {a: "${frist.rows}"}'),
        7,
        16,
        "nothing is named 'frist' (did you mean 'first'?)",
    ),
    Case("unknown name in a block", step("run: |", "  echo start", "  echo ${givn}"), 8, 12, "did you mean 'given'?"),
    Case(
        "unknown need", step("call: m:f", "needs: [frist]"), 7, 13, "there is no step 'frist' (did you mean 'first'?)"
    ),
    Case("input as need", step("call: m:f", "needs: [given]"), 7, 13, "'given' is no step, but an input"),
    Case(
        "unknown alternative",
        step("call: m:f", "on_error: [{strategy: alternative_path, steps: [frist]}]"),
        7,
        53,
        "there is no step 'frist' (did you mean 'first'?)",
    ),
    Case(
        "its own alternative",
        step("call: m:f", "on_error: [{strategy: alternative_path, steps: [second]}]"),
        7,
        53,
        "step 'second' cannot run in its own place",
    ),
    Case(
        "a loop as alternative",
        "pipeline: p\nsteps:\n  - {id: a, call: 'm:f', for_each: [1]}\n"
        "  - {id: b, call: 'm:f', on_error: [{strategy: alternative_path, steps: [a]}]}\n",
        4,
        74,
        "'a' is a for_each step, which cannot run in the place of another",
    ),
    Case(
        "a set step as alternative",
        "pipeline: p\nsteps:\n  - {id: a, set: {x: 1}}\n"
        "  - {id: b, call: 'm:f', on_error: [{strategy: alternative_path, steps: [a]}]}\n",
        4,
        74,
        "'a' is a set step; only call and run steps",
    ),
    Case(
        "alternative that uses the failed step",
        "pipeline: p\nsteps:\n  - {id: a, run: 'echo ${b}', when: false}\n"
        "  - {id: b, call: 'm:f', on_error: [{strategy: alternative_path, steps: [a]}]}\n",
        4,
        74,
        "step 'a' uses the output of 'b' and cannot run in its place",
    ),
    Case(
        "unknown checkpoint",
        "pipeline: p\nsteps:\n  - {id: a, run: ls, checkpoint: loaded}\n"
        "  - {id: b, run: ls, on_error: [{strategy: rollback, checkpoint: loded}]}\n",
        4,
        66,
        "no step makes a checkpoint 'loded' (did you mean 'loaded'?)",
    ),
    Case(
        "its own checkpoint",
        step("call: m:f", "checkpoint: c", "on_error: [{strategy: rollback, checkpoint: c}]"),
        8,
        49,
        "is made when this very step has ended",
    ),
    Case(
        "unknown field",
        step("call: m:f", "with: {a: '${first.row}'}"),
        7,
        16,
        "the output of 'first' has no 'row'; it has rows",
    ),
    Case("json without parse", step("run: ls") + "outputs: {o: '${second.json}'}\n", 7, 15, "`parse: json` would give"),
    Case(
        "field of a list",
        step("call: m:f", "for_each: [1]") + "outputs: {o: '${second.mean}'}\n",
        8,
        15,
        "is a list and has no 'mean'",
    ),
    Case("unknown output", step("call: m:f") + "outputs: {o: '${secnd}'}\n", 7, 15, "did you mean 'second'?"),
    Case("own output", step("call: m:f", "with: {a: '${second}'}"), 7, 16, "step 'second' uses its own output"),
    Case("own variable", step("set: {n: '${n + 1}'}"), 6, 15, "'n' is set by this very step"),
    Case(
        "loop variable outside",
        step("call: m:f", "for_each: [1]", "as: row") + "outputs: {o: '${row}'}\n",
        9,
        15,
        "the loop variable of step 'second'",
    ),
    Case("loop variable in its list", step("call: m:f", "for_each: ${item}"), 7, 15, "not known in its for_each"),
    Case(
        "loop variable hides", step("call: m:f", "for_each: [1]", "as: first"), 8, 9, "would hide a step of that name"
    ),
    Case("duplicate id", step("call: m:f").replace("id: second", "id: first"), 5, 9, "there is another step 'first'"),
    Case("id of an input", step("call: m:f").replace("id: second", "id: given"), 5, 9, "the name of an input already"),
    Case("variable named like a step", step("set: {first: 1}"), 6, 11, "'first' is the id of a step"),
    Case("step waits for itself", step("call: m:f", "needs: [second]"), 7, 13, "cannot wait for itself"),
    Case(
        "cycle",
        "pipeline: p\nsteps:\n  - {id: a, call: 'm:f', needs: [c]}\n  - {id: b, call: 'm:f', with: {x: '${a}'}}\n"
        "  - {id: c, call: 'm:f', with: {x: '${b}'}}\n",
        3,
        10,
        "these steps wait for each other: a -> c -> b -> a",
    ),
    Case(
        "a million edges",
        "pipeline: p\nsteps:\n"
        + "".join(f"- {{id: w{n}, set: {{x: 1}}}}\n" for n in range(1100))
        + "".join(f"- {{id: r{n}, run: 'echo ${{x}}'}}\n" for n in range(1100)),
        2012,
        8,
        "wait for more than 1,000,000 others",
    ),
    # -- templates
    Case("open placeholder", step("call: m:f", "with: {a: '${given'}"), 7, 16, "a '}' is missing"),
    Case("empty placeholder", step("call: m:f", "with: {a: 'x ${}'}"), 7, 18, "names nothing"),
    Case("no expression", step("call: m:f", "with: {a: '${given +}'}"), 7, 16, "this is no expression"),
    Case("unknown filter", step("call: m:f", "with: {a: '${given | uper}'}"), 7, 16, "did you mean 'upper'?"),
    Case("private attribute", step("call: m:f", "with: {a: '${given.__class__}'}"), 7, 16, "internals of Python"),
    Case("condition without placeholder", step("call: m:f", "when: first"), 7, 11, "always true (write ${first})"),
    Case(
        "condition a list", step("call: m:f", "when: [a]"), 7, 11, "expected a condition such as ${rows | length > 0}"
    ),
    Case("condition empty", step("call: m:f", "when: ''"), 7, 11, "the condition has no ${…}"),
    Case("condition a block", step("call: m:f", "when: >", "  ${given}"), 7, 11, "begin it with >- or |-"),
    Case("condition a text", step("call: m:f", "when: ${given} > 3"), 7, 11, "always true"),
    Case("loop over a text", step("call: m:f", "for_each: given"), 7, 15, "write ${given}"),
    Case("loop over a number", step("call: m:f", "for_each: 3"), 7, 15, "got the number 3"),
    Case("single quotes in a shell text", step("run: echo '${given}'"), 6, 16, "stands between single quotes"),
    # -- steps inside of steps
    Case("block empty", step("steps: []"), 6, 12, "a block needs at least one step"),
    Case("block a mapping", step("steps: {id: a}"), 6, 12, "expected a list, got a mapping of 1"),
    Case(
        "block of ids", step("steps: [first]"), 6, 13, "expected a mapping, got the text 'first' (each step begins with"
    ),
    Case("wrong key in a block", step("steps:", "  - {id: a, cal: 'm:f'}"), 7, 17, "did you mean 'call'?"),
    Case(
        "wrong key three blocks deep",
        step("steps:", "  - id: a", "    parallel:", "      - id: b", "        switch: [{steps: [{id: c, rum: ls}]}]"),
        10,
        39,
        "unknown key 'rum' (did you mean 'run'?)",
    ),
    Case("wrong name in a block", step("steps: [{id: a, run: 'ls ${firts}'}]"), 6, 30, "did you mean 'first'?"),
    Case("switch without cases", step("switch: []"), 6, 13, "a switch needs at least one case"),
    Case("case without steps", step("switch: [{when: true}]"), 6, 14, "a case needs the key 'steps'"),
    Case(
        "otherwise comes first",
        step("switch:", "  - steps: [{id: a, run: ls}]", "  - {when: true, steps: [{id: a, run: ls}]}"),
        7,
        9,
        "only the last case may have no `when` (it is taken otherwise",
    ),
    Case(
        "case with a text as condition",
        step("switch: [{when: given, steps: [{id: a, run: ls}]}]"),
        6,
        21,
        "a text is always true (write ${given})",
    ),
    Case("unknown key of a case", step("switch: [{if: x, steps: [{id: a, run: ls}]}]"), 6, 15, "unknown key 'if'"),
    Case(
        "output of a switch", step("switch: [{steps: [{id: a, run: ls}]}]", "output: 1"), 7, 5, "each case has its own"
    ),
    Case("no branches", step("parallel: []"), 6, 15, "needs at least one branch"),
    Case("join misspelt", step("parallel: [{id: a, run: ls}]", "join: ayn"), 7, 11, "did you mean 'any'?"),
    Case(
        "join of too many",
        step("parallel: [{id: a, run: ls}]", "join: 2"),
        7,
        11,
        "join waits for 2 branches, and there",
    ),
    Case("join of none", step("parallel: [{id: a, run: ls}]", "join: 0"), 7, 11, "a whole number from 1 as join"),
    Case("join at a block", step("steps: [{id: a, run: ls}]", "join: any"), 7, 5, "'join' belongs to parallel"),
    # -- loops
    Case("both loops", step("call: m:f", "for_each: [1]", "while: ${given}"), 8, 5, "cannot stand in one step"),
    Case("while a text", step("call: m:f", "while: given > 3"), 7, 12, "always true (write ${given > 3})"),
    Case(
        "rounds without while",
        step("call: m:f", "max_iterations: 3"),
        7,
        5,
        "belongs to while, which this step has not",
    ),
    Case(
        "no rounds", step("call: m:f", "while: true", "max_iterations: 0"), 8, 21, "a whole number from 1 to 1,000,000"
    ),
    Case(
        "failures of items misspelt",
        step("call: m:f", "for_each: [1]", "on_item_failure: colect"),
        8,
        22,
        "expected stop, collect or a share such as 10% or 0.1, got the text 'colect' (did you mean 'collect'?)",
    ),
    Case(
        "a share of more than all",
        step("call: m:f", "for_each: [1]", "on_item_failure: 120%"),
        8,
        22,
        "got the text '120%'",
    ),
    # -- sub-pipelines
    Case("a file that is not there", step("pipeline: sub.yaml"), 6, 15, "'sub.yaml': there is no such file"),
    Case(
        "a name that is not there", step("pipeline: sub"), 6, 15, "there is no pipeline 'sub' (name it in `pipelines`"
    ),
    Case("a name of a file that is not there", top("pipelines: {sub: sub.yaml}"), 2, 18, "there is no such file"),
    Case("pipelines a list", top("pipelines: [sub.yaml]"), 2, 12, "expected a mapping, got a list of 1"),
    Case("a pipeline without steps", top("pipelines: {sub: {inputs: {}}}"), 2, 18, "a pipeline needs the key 'steps'"),
    Case(
        "a fault in a pipeline within",
        top("pipelines:", "  sub:", "    steps: [{id: a, run: 'ls ${b}'}]"),
        4,
        30,
        "nothing is named 'b'",
    ),
    Case("itself by its file", step("pipeline: pipeline.yaml", "with: {givne: 1}"), 7, 12, "did you mean 'given'?"),
    Case("a folder as pipeline", step("pipeline: ./.yaml"), 6, 15, "there is no such file"),
    # -- people and time
    Case("wait in words", step("wait: 2 hours"), 6, 11, "a moment such as 2026-12-01T08:00, got '2 hours' (write 2h)"),
    Case("wait for no day", step("wait: 2026-02-30"), 6, 11, "there is no moment '2026-02-30'"),
    Case("wait for a time of day", step("wait: 08:00"), 6, 11, "expected a moment such as 2026-12-01T08:00:00+01:00"),
    Case("timeout of a wait", step("wait: 5", "timeout: 9"), 7, 5, "'timeout' does not go with 'wait'"),
    Case("deadline in words", step("signal: go", "deadline: 2 dayz"), 7, 15, "got '2 dayz' (write 2d)"),
    Case("default without deadline", step("signal: go", "default: 1"), 7, 5, "which this step has not (for example"),
    Case("payload a template", step("signal: go", "deadline: 1", "default: ['${given}']"), 8, 15, "is a plain value"),
    Case(
        "default that is no choice",
        step("approve: Go?", "choices: [yes, no]", "deadline: 1h", "default: yse"),
        9,
        14,
        "the text 'yse' is none of the choices yes or no (did you mean 'yes'?)",
    ),
    Case("a choice twice", step("approve: Go?", "choices: [yes, yes]"), 7, 14, "the choice 'yes' stands here twice"),
    Case(
        "form a list",
        step("approve: Go?", "form: [amount]"),
        7,
        11,
        "expected a mapping, got a list of 1 (for example `form",
    ),
    Case("type of a field", step("approve: Go?", "form: {a: {type: numbr}}"), 7, 22, "did you mean 'number'?"),
    Case(
        "default of a field",
        step("approve: Go?", "form: {a: {type: number, default: x}}"),
        7,
        39,
        "expected a number, got the text 'x' as default",
    ),
    Case("key of a field", step("approve: Go?", "form: {a: {typ: number}}"), 7, 16, "did you mean 'type'?"),
    # -- endings, effects, concurrency
    Case("return of a text", step("return: all"), 6, 13, "expected a mapping of names and values"),
    Case("return of no output", step("return: {all: 1}"), 6, 14, "the pipeline has no output 'all'"),
    Case(
        "return at the end", top("finally: [{id: z, return: {}}]"), 2, 19, "a step of finally cannot end the pipeline"
    ),
    Case("fail with nothing", step("fail: ''"), 6, 11, "expected a text, got an empty one"),
    Case("finally empty", top("finally: []"), 2, 10, "finally needs at least one step"),
    Case("type of an output", top("outputs: {a: 1}", "returns: {a: nubmer}"), 3, 14, "did you mean 'number'?"),
    Case("type of no output", top("outputs: {all: 1}", "returns: {al: any}"), 3, 11, "did you mean 'all'?"),
    Case("effect misspelt", step("call: m:f", "effect: {in_doubt: verfy}"), 7, 24, "did you mean 'verify'?"),
    Case(
        "effect without a look", step("call: m:f", "effect: {in_doubt: verify}"), 7, 24, "verify needs the key 'verify'"
    ),
    Case(
        "a look without effect", step("call: m:f", "effect: {verify: 'm:f'}"), 7, 13, "effect needs the key 'in_doubt'"
    ),
    Case("no key of concurrency", top("concurrency: {when_busy: queue}"), 2, 14, "concurrency needs the key 'key'"),
    Case("a busy key", top("concurrency: {key: k, when_busy: quue}"), 2, 34, "did you mean 'queue'?"),
    Case("a key of steps", top('concurrency: {key: "${first}"}'), 2, 21, "the key is made of inputs"),
    Case("total time of nothing", step("call: m:f", "retry: {timeout: 0}"), 7, 22, "a timeout is longer than 0"),
    Case("no rules by default", top("defaults: {on_error: []}"), 2, 22, "on_error needs at least one rule"),
]
