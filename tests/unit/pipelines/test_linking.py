"""Sub-pipelines: what references mean, under which names their pipelines are kept, and where faults are shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import PipelineFileError
from orchestrator.pipelines import linking
from orchestrator.pipelines.definition import PipelineDef, members_of, steps_of
from orchestrator.pipelines.model import Pipeline, Step

CHILD = """\
pipeline: the-child
inputs: {n: {default: 2}}
pipelines:
  inner:
    steps: [{id: look, call: "m:f"}, {id: up, pipeline: ., when: false}, {id: on, pipeline: other.yaml}]
steps:
  - {id: go, pipeline: inner}
  - {id: self, pipeline: ., when: "${n > 2}"}
  - {id: back, pipeline: ../root.yaml, when: false}
outputs: {all: "${go}"}
"""

ROOT = """\
pipeline: root
pipelines:
  child: sub/child.yaml
  small:
    description: Written in this file.
    inputs: {x: {default: 1}}
    steps: [{id: set, set: {y: "${x}"}}, {id: again, pipeline: small, when: "${x > 3}"}, {id: c, pipeline: child}]
steps:
  - id: block
    steps: [{id: one, pipeline: child, with: {n: 1}}]
  - {id: two, pipeline: sub/../sub/child.yaml}
  - {id: three, pipeline: small}
  - {id: four, pipeline: sub/other.yaml}
finally:
  - {id: five, pipeline: ., when: false}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "root.yaml").write_text(ROOT)
    (tmp_path / "sub/child.yaml").write_text(CHILD)
    (tmp_path / "sub/other.yaml").write_text("pipeline: other\nsteps: [{id: c, pipeline: child.yaml}]\n")
    return tmp_path


def refs(definition: PipelineDef) -> list[str]:
    return [step["pipeline"] for _, step in steps_of(definition) if "pipeline" in step]


def shown(error: PipelineFileError) -> list[tuple[str, int, int]]:
    return [(Path(fault.file or error.file).name, fault.line, fault.column) for fault in error.faults]


def test_each_pipeline_is_kept_once_under_a_name_for_all(folder: Path) -> None:
    canonical = Pipeline.load(folder / "root.yaml").canonical()
    members = canonical["pipelines"]
    assert refs(canonical) == ["child", "child", "small", "sub/other.yaml", "."]
    assert {ref: refs(member) for ref, member in members.items()} == {
        "child": ["child#inner", "child", "."],
        "small": ["small", "child"],
        "sub/other.yaml": ["child"],
        "child#inner": ["child", "sub/other.yaml"],
    }
    assert {ref: member.get("folder") for ref, member in members.items()} == {
        "child": "sub", "small": None, "sub/other.yaml": "sub", "child#inner": "sub",
    }  # fmt: skip
    assert {ref: member["pipeline"] for ref, member in members.items()} == {
        "child": "the-child", "small": "small", "sub/other.yaml": "other", "child#inner": "inner",
    }  # fmt: skip
    assert not any("pipelines" in member for member in members.values())
    assert [place for place, _ in members_of(canonical)] == [(), *(("pipelines", ref) for ref in members)]


def test_the_canonical_form_needs_no_file(folder: Path) -> None:
    pipeline = Pipeline.load(folder / "root.yaml")
    canonical = pipeline.canonical()
    canonical["pipelines"]["child"]["steps"].clear()
    canonical = pipeline.canonical()
    for base_dir in (folder, Path("/elsewhere"), None):
        again = Pipeline.from_canonical(canonical, base_dir)
        assert again.canonical() == canonical
        assert (again, hash(again), again.fingerprint) == (pipeline, hash(pipeline), pipeline.fingerprint)


def test_the_fingerprint_covers_what_it_refers_to(folder: Path) -> None:
    before = Pipeline.load(folder / "root.yaml").fingerprint
    (folder / "sub/other.yaml").write_text("pipeline: other\nsteps: [{id: d, pipeline: child.yaml}]\n")
    assert Pipeline.load(folder / "root.yaml").fingerprint != before


def test_a_pipeline_that_refers_to_none_has_nothing_of_it() -> None:
    pipeline = Pipeline.loads("pipeline: p\nsteps: [{id: a, run: ls}]\n")
    assert pipeline.canonical() == {"pipeline": "p", "steps": [{"id": "a", "run": "ls"}]}
    recursive = Pipeline.loads("pipeline: p\nsteps: [{id: a, pipeline: ., when: false}]\n")
    assert recursive.canonical()["steps"] == [{"id": "a", "pipeline": ".", "when": False}]
    assert "pipelines" not in recursive.canonical()


def test_in_python_a_step_takes_the_pipeline_itself(folder: Path) -> None:
    child = Pipeline(pipeline="c", steps=[Step(id="a", run="ls")])
    other = Pipeline(pipeline="c", steps=[Step(id="a", run="pwd"), Step(id="b", pipeline=child)])
    built = Pipeline(
        pipeline="p",
        steps=[
            Step(id="x", pipeline=child),
            Step(id="y", steps=[Step(id="z", pipeline=other)]),
            Step(id="again", pipeline=child),
            Step(id="named", pipeline="short"),
        ],
        pipelines={"short": {"steps": [Step(id="q", pipeline="same")]}, "same": child},
    )
    canonical = built.canonical()
    assert refs(canonical) == ["same", "c", "same", "short"]
    assert {ref: refs(member) for ref, member in canonical["pipelines"].items()} == {
        "short": ["same"], "same": [], "c": ["c#c"], "c#c": [],
    }  # fmt: skip
    assert Pipeline.from_canonical(canonical) == built
    assert Step(id="x", pipeline=child).canonical() == {"id": "x", "pipeline": "c"}


def test_a_loaded_pipeline_keeps_its_folder_and_its_files(folder: Path) -> None:
    loaded = Pipeline.load(folder / "sub/child.yaml")
    for child in (loaded, Pipeline.from_canonical(loaded.canonical(), loaded.base_dir)):
        built = Pipeline(pipeline="p", steps=[Step(id="x", pipeline=child)])
        members = built.canonical()["pipelines"]
        assert {ref: Path(member.get("folder", "")) for ref, member in members.items()} == {
            "the-child": folder / "sub",
            "the-child#inner": folder / "sub",
            "the-child#../root.yaml": folder,
            "the-child#other.yaml": folder / "sub",
            "the-child#../root.yaml#small": folder,
        }
        assert refs(members["the-child"]) == ["the-child#inner", "the-child", "the-child#../root.yaml"]
        assert Pipeline.from_canonical(built.canonical()) == built


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("steps: [{id: a, pipeline: gone.yaml}]", (2, 27), "no such file (did you mean 'one.yaml'"),
        ("pipelines: {x: gone.yaml}\nsteps: [{id: a, pipeline: x}]", (2, 16), "'gone.yaml': there is no such file"),
        ("steps: [{id: a, pipeline: .yaml}]", (2, 27), "cannot be read: Is a directory"),
        ("steps: [{id: a, pipeline: pipe.yaml}]", (2, 27), "'pipe.yaml' is a pipe, not a file"),
        ("steps: [{id: a, pipeline: smal}]\npipelines: {small: one.yaml}", (2, 27), "did you mean 'small'?"),
        ("steps: [{id: a, pipeline: one}]", (2, 27), "there is no pipeline 'one' (name it in `pipelines`, or give a"),
        ("steps: [{id: a, pipeline: one.yaml, with: {x: 1}}]", (2, 44), "has no input 'x'"),
        ("pipelines: {x: one}\nsteps: [{id: a, run: ls}]", (2, 16), "'one' is no file of a pipeline"),
        ("pipelines: {.: one.yaml}\nsteps: [{id: a, run: ls}]", (2, 13), "'.' names the pipeline of the file itself"),
        ("pipelines: {x: {step: []}}\nsteps: [{id: a, run: ls}]", (2, 17), "did you mean 'steps'?"),
        (
            "pipelines: {x: {steps: [{id: b, run: 'echo ${c}'}]}}\nsteps: [{id: a, pipeline: x}]",
            (2, 44),
            "nothing is named 'c'",
        ),
    ],
)  # fmt: skip
def test_a_fault_of_a_reference_is_told_at_its_place(
    tmp_path: Path, text: str, place: tuple[int, int], message: str
) -> None:
    (tmp_path / ".yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "one.yaml").write_text("pipeline: one\nsteps: [{id: a, run: ls}]\n")
    (tmp_path / "p.yaml").write_text(f"pipeline: p\n{text}\n")
    with pytest.raises(PipelineFileError) as caught:
        Pipeline.load(tmp_path / "p.yaml")
    (fault,) = caught.value.faults
    assert (fault.line, fault.column) == place
    assert message in str(caught.value)


def test_faults_of_another_file_are_told_with_its_name_and_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "p.yaml").write_text(
        "pipeline: p\nsteps:\n  - {id: a, pipeline: sub/bad.yaml}\n  - {id: b, cal: 'm:f'}\n"
        "  - {id: c, pipeline: sub/bad.yaml}\n"
    )
    (tmp_path / "sub/bad.yaml").write_text(
        "pipeline: bad\nsteps:\n  - {id: x, run: 'echo ${zz}'}\n  - {id: y, wiht: 1}\n"
    )
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(PipelineFileError) as caught:
        Pipeline.load(Path(tmp_path.name) / "p.yaml")
    assert shown(caught.value) == [
        ("p.yaml", 3, 23), ("p.yaml", 4, 13), ("p.yaml", 5, 23), ("bad.yaml", 3, 24), ("bad.yaml", 4, 13),
    ]  # fmt: skip
    text = str(caught.value)
    assert "the file 'sub/bad.yaml' has 2 faults, shown below" in text
    assert f"{tmp_path.name}/sub/bad.yaml:4:13: unknown key 'wiht'" in text
    assert "      - {id: y, wiht: 1}" in text


def test_a_wrong_name_in_another_file_is_told_there(folder: Path) -> None:
    (folder / "sub/child.yaml").write_text(
        CHILD.replace('"${n > 2}"', '"${m > 2}"').replace('call: "m:f"', "run: 'a ${b}'")
    )
    with pytest.raises(PipelineFileError) as caught:
        Pipeline.load(folder / "root.yaml")
    assert shown(caught.value) == [("child.yaml", 5, 32), ("child.yaml", 8, 36)]


def test_a_wrong_reference_in_another_file_is_told_there(folder: Path) -> None:
    (folder / "sub/other.yaml").write_text("pipeline: other\nsteps:\n  - {id: c, pipeline: nothing.yaml}\n")
    with pytest.raises(PipelineFileError, match=r"other\.yaml:3:23: 'nothing\.yaml': there is no such file") as caught:
        Pipeline.load(folder / "root.yaml")
    assert shown(caught.value) == [("other.yaml", 3, 23)]


def test_a_fault_hides_none_in_the_pipelines_of_the_file(folder: Path) -> None:
    text = """\
pipeline: p
pipelines:
  sound: {inputs: {a: {}}, steps: [{id: x, run: "ls ${b}"}]}
  broken: {steps: [{id: x, rum: ls}]}
steps:
  - {id: one, pipeline: sound}
  - {id: two, pipeline: broken}
  - {id: three, pipeline: "no\\0.yaml"}
"""
    (folder / "p.yaml").write_text(text)
    with pytest.raises(PipelineFileError) as caught:
        Pipeline.load(folder / "p.yaml")
    assert shown(caught.value) == [("p.yaml", 3, 53), ("p.yaml", 4, 28), ("p.yaml", 6, 25), ("p.yaml", 8, 27)]
    assert "is the name of no file" in caught.value.faults[3].message


@pytest.mark.parametrize("name", ["child.yaml", "elsewhere"])
def test_what_comes_from_no_file_refers_to_none(name: str) -> None:
    message = "has no folder to be seen from" if name.endswith("yaml") else "there is no pipeline 'elsewhere'"
    with pytest.raises(PipelineFileError, match=f"<pipeline p>: steps.a.pipeline: .*{message}"):
        Pipeline(pipeline="p", steps=[Step(id="a", pipeline=name)])
    with pytest.raises(PipelineFileError, match=f"<text>:2:27: .*{message}"):
        Pipeline.loads(f"pipeline: p\nsteps: [{{id: a, pipeline: {name}}}]\n")


def test_a_recorded_one_without_its_members_is_refused(folder: Path) -> None:
    canonical: Any = Pipeline.load(folder / "root.yaml").canonical()
    del canonical["pipelines"]["sub/other.yaml"]
    with pytest.raises(PipelineFileError, match=r"steps\.four\.pipeline"):
        Pipeline.from_canonical(canonical, folder)
    for member in (3, {"folder": 3}, {"folder": "sub"}):
        with pytest.raises(PipelineFileError, match="pipelines"):
            Pipeline.from_canonical({**canonical, "pipelines": {"small": member}})


def chain(folder: Path, count: int) -> None:
    for number in range(count):
        text = f"pipeline: p{number}\nsteps: [{{id: a, pipeline: p{number + 1}.yaml}}]\n"
        (folder / f"p{number}.yaml").write_text(text)
    (folder / f"p{count}.yaml").write_text("pipeline: last\nsteps: [{id: a, run: ls}]\n")


def test_the_number_of_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linking, "MAX_FILES", 20)
    chain(tmp_path, 20)
    assert len(Pipeline.load(tmp_path / "p0.yaml").canonical()["pipelines"]) == 20
    chain(tmp_path, 21)
    with pytest.raises(PipelineFileError, match=r"p20\.yaml:2:27: a pipeline is made of at most 20 files") as caught:
        Pipeline.load(tmp_path / "p0.yaml")
    assert len(caught.value.faults) == 1


def test_the_size_of_all_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linking, "MAX_CHARACTERS", 100)
    chain(tmp_path, 5)
    with pytest.raises(PipelineFileError, match="with 100 characters in all"):
        Pipeline.load(tmp_path / "p0.yaml")
