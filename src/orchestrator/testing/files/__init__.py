"""Tests that stand in a YAML file beside a pipeline: what steps give, what is sent, what is expected of the run."""

from orchestrator.testing.files.cases import Case, Expected
from orchestrator.testing.files.reading import read_cases
from orchestrator.testing.files.running import CaseResult, run_case
from orchestrator.testing.files.subjects import Subject, subject_of_file, subject_of_function

__all__ = [
    "Case",
    "CaseResult",
    "Expected",
    "Subject",
    "read_cases",
    "run_case",
    "subject_of_file",
    "subject_of_function",
]
