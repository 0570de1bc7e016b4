"""Shell texts, run by a real shell: whatever a value holds, it is data."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import TemplateError
from orchestrator.pipelines.shell import ARGUMENT_PREFIX, MAX_SCRIPT, split_shell

NASTY = "a  b * $(echo pwned) `echo pwned` ; echo pwned # ' \" \\ ${HOME} | & \n last"


def run(text: str, value: str = NASTY) -> str:
    parts = split_shell(text)
    values = {f"{ARGUMENT_PREFIX}{index}": value for index in range(len(parts.placeholders))}
    done = subprocess.run(["sh", "-c", parts.script], env={**os.environ, **values}, capture_output=True, timeout=10)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("printf '<%s>' ${x}", "<@>"),
        ("printf '<%s>' ${x} ${y}", "<@><@>"),
        ("printf '<%s>' --out=${x}/b", "<--out=@/b>"),
        ('printf "<%s>" "v ${x} w"', "<v @ w>"),
        ("printf '<%s>' \"it's\" ${x}", "<it's><@>"),
        ('printf \'<%s>\' "a\\"${x}\\"b"', '<a"@"b>'),
        ("# don't\nprintf '<%s>' ${x}", "<@>"),
        ("printf '<%s>' a#'b' ${x}", "<a#b><@>"),
        ("v=${x}; printf '<%s>' \"$v\"", "<@>"),
        ("printf '<%s>' \"$(printf '%s' ${x})\"", "<@>"),
        ("printf '<%s>' \"`printf '%s' ${x}`\"", "<@>"),
        ("(printf '<%s>' ${x}); printf '<%s>' $(echo '(') ${y}", "<@><(><@>"),
        ("printf '<%s>' $((1 + (2))) ${x}", "<3><@>"),
        ("cat <<END\nit's ${x}\nEND\nprintf '<%s>' ${y}", "it's @\n<@>"),
        ("cat <<-A <<B\n\tit's\n\tA\n${x}\nB\nprintf '<%s>' ${y}", "@\n<@>"),
        ("cat <<END\n$(printf '%s' ${x})\nEND\n", "@\n"),
        ("case ${x} in a) echo no;; *) printf '<%s>' ${x};; esac", "<@>"),
        ("for f in 1 2; do printf '<%s>' $f ${x}; done", "<1><@><2><@>"),
        ("unset v; printf '<%s>' $${v:-'d'} \"$${v:-e}\" ${x}", "<d><e><@>"),
        ("printf '<%s>' '$${x}' ${x}", "<${x}><@>"),
        ("echo ${x} | cat > /dev/null; printf '<%s>' ${x} | cat", "<@>"),
    ],
)
def test_a_value_is_one_word_and_never_code(text: str, expected: str) -> None:
    assert run(text) == expected.replace("@", NASTY)


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30))
def test_any_value_arrives_as_it_is(value: str) -> None:
    assert run("printf '%s|' ${x} \"${x}\"", value) == f"{value}|{value}|"


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("echo '${x}'", 6, "stands between single quotes"),
        ("echo 'a' \"b\" 'c ${x}'", 16, "stands between single quotes"),
        ("echo \"$(echo '${x}')\"", 14, "stands between single quotes"),
        ("cat <<'END'\n${x}\nEND\n", 12, "a here-document whose delimiter is quoted"),
        ("cat <<\\END\n${x}\nEND\n", 11, "a here-document whose delimiter is quoted"),
        ("echo $((${x} + 1))", 8, "its value would run as code"),
        ("echo \\${x}", 6, "a '\\\\' stands before"),
        ("echo ${x", 5, "is missing"),
        ("echo " + "x" * MAX_SCRIPT, 0, "more than 100,000 characters"),
    ],
)
def test_where_a_placeholder_cannot_stand(text: str, offset: int, message: str) -> None:
    with pytest.raises(TemplateError, match=message) as caught:
        split_shell(text)
    assert caught.value.offset == offset
