"""The front door: run something and get what came of it, with a store of its own for the time being."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from orchestrator.app.handle import Handle
from orchestrator.app.orchestrator import Orchestrator
from orchestrator.clock import SystemClock, new_id
from orchestrator.errors import InputError
from orchestrator.execution.engine import ExecutionResult
from orchestrator.functions import AsyncPipeline, PipelineFunction, RunOptions, SyncPipeline
from orchestrator.journal.store import Store
from orchestrator.types import ExecutionId

if TYPE_CHECKING:
    from orchestrator.pipelines.model import Pipeline

P = ParamSpec("P")
T = TypeVar("T")


@overload
def run(function: AsyncPipeline[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
@overload
def run(function: SyncPipeline[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
@overload
def run(
    pipeline: Pipeline | str | Path,
    /,
    inputs: Mapping[str, Any] | None = None,
    *,
    store: str | Path | Store | None = None,
    durability: str = "disk",
    execution_id: str | None = None,
) -> ExecutionResult: ...
def run(pipeline: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Run a durable function with these arguments, or a pipeline (or the file of one) with these inputs, to its end.

    Of a function it gives what that returns, of a pipeline an ExecutionResult. `store`, `durability` and `execution_id`
    are arguments of this for a pipeline; for a function they stand in `function.options(...)`. Raises
    ExecutionFailedError where it failed (of a function its `__cause__` is what that raised), ExecutionWaitsError where
    it waits for a person, a signal, or a time that is not near, and InputError for arguments that do not fit.
    """
    _check(pipeline, "run")
    if isinstance(pipeline, PipelineFunction):
        given, options = pipeline.bind(*args, **kwargs), pipeline.run_options
        with Orchestrator(options.store, durability=options.durability) as orchestrator:
            result = orchestrator.run(pipeline, given, execution_id=options.execution_id, wait=options.wait)
            return result.raise_for_status().result
    return _run_pipeline(pipeline, *args, **kwargs)


def _run_pipeline(
    pipeline: Pipeline | str | Path,
    inputs: Mapping[str, Any] | None = None,
    *,
    store: str | Path | Store | None = None,
    durability: str = "disk",
    execution_id: str | None = None,
) -> ExecutionResult:
    with Orchestrator(store, durability=durability) as orchestrator:
        return orchestrator.run(pipeline, inputs, execution_id=execution_id).raise_for_status()


@overload
def arun(function: AsyncPipeline[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, None, T]: ...
@overload
def arun(function: SyncPipeline[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, None, T]: ...
@overload
def arun(
    pipeline: Pipeline | str | Path,
    /,
    inputs: Mapping[str, Any] | None = None,
    *,
    store: str | Path | Store | None = None,
    durability: str = "disk",
    execution_id: str | None = None,
) -> Coroutine[Any, Any, ExecutionResult]: ...
def arun(pipeline: Any, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
    """`run` for code on an event loop."""
    _check(pipeline, "arun")
    if isinstance(pipeline, PipelineFunction):
        return _arun_function(pipeline, pipeline.bind(*args, **kwargs), pipeline.run_options)
    return _arun_pipeline(pipeline, *args, **kwargs)


async def _arun_function(function: PipelineFunction[..., Any], given: Mapping[str, Any], options: RunOptions) -> Any:
    with Orchestrator(options.store, durability=options.durability) as orchestrator:
        result = await orchestrator.arun(function, given, execution_id=options.execution_id, wait=options.wait)
        return result.raise_for_status().result


async def _arun_pipeline(
    pipeline: Pipeline | str | Path,
    inputs: Mapping[str, Any] | None = None,
    *,
    store: str | Path | Store | None = None,
    durability: str = "disk",
    execution_id: str | None = None,
) -> ExecutionResult:
    with Orchestrator(store, durability=durability) as orchestrator:
        return (await orchestrator.arun(pipeline, inputs, execution_id=execution_id)).raise_for_status()


@overload
def start(function: AsyncPipeline[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Handle[T]: ...
@overload
def start(function: SyncPipeline[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Handle[T]: ...
def start(function: Any, /, *args: Any, **kwargs: Any) -> Handle[Any]:
    """Begin a durable function in the background, in a thread of this process; gives the handle of its execution."""
    _check(function, "start")
    if not isinstance(function, PipelineFunction):
        raise InputError(f"start is for functions with @pipeline, not for {function!r:.60}; `run` runs a file")
    given, options = function.bind(*args, **kwargs), function.run_options
    id_ = options.execution_id or new_id(SystemClock())
    return Handle(function, given, options, id_)


@overload
def resume(
    execution_id: str, *, store: str | Path | Store | None = None, durability: str = "disk"
) -> ExecutionResult: ...
@overload
def resume(
    execution_id: str,
    function: AsyncPipeline[..., T],
    *,
    store: str | Path | Store | None = None,
    durability: str = "disk",
) -> T: ...
@overload
def resume(
    execution_id: str,
    function: SyncPipeline[..., T],
    *,
    store: str | Path | Store | None = None,
    durability: str = "disk",
) -> T: ...
def resume(
    execution_id: str,
    function: Any = None,
    *,
    store: str | Path | Store | None = None,
    durability: str = "disk",
) -> Any:
    """Go on with an execution that was interrupted or whose process died.

    With the durable `function` that it is of it gives what that returns, and finds it wherever it stands. Raises as
    `run` does, and NonDeterminismError where the function asks for other steps than it did.
    """
    with Orchestrator(store, durability=durability) as orchestrator:
        if function is None:
            return orchestrator.resume(execution_id).raise_for_status()
        orchestrator.knows(function)
        return orchestrator.resume(execution_id).raise_for_status().result


def fork(
    execution_id: str,
    *,
    at: str | int | None = None,
    fork_id: str | None = None,
    variables: Mapping[str, Any] | None = None,
    from_step: str | None = None,
    store: str | Path | Store | None = None,
    durability: str = "disk",
) -> ExecutionId:
    """A new execution whose journal begins with another's up to a checkpoint or position: see `Orchestrator.fork`."""
    with Orchestrator(store, durability=durability) as orchestrator:
        return orchestrator.fork(execution_id, at=at, fork_id=fork_id, variables=variables, from_step=from_step)


def _check(pipeline: object, verb: str) -> None:
    """A plain function, a step: say what to write. Raises InputError."""
    if isinstance(pipeline, PipelineFunction) or not callable(pipeline) or isinstance(pipeline, type):
        return
    name = getattr(cast(Callable[..., Any], pipeline), "__name__", repr(pipeline))
    raise InputError(f"{verb}({name}, ...): {name} is no pipeline; write @pipeline above it")
