"""Names for the plain values that travel everywhere, so that a signature says which string it means."""

from __future__ import annotations

from typing import NewType

#: One run of a pipeline: chosen by the caller or made by `clock.new_id`.
ExecutionId = NewType("ExecutionId", str)
#: A step's name in one execution: `load`, `months[3]`.
StepKey = NewType("StepKey", str)
#: sha256 of a blob's bytes, 32 bytes.
BlobHash = NewType("BlobHash", bytes)
