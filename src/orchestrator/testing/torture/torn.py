"""A store that is not as it was left: cut off, or with bytes changed, in the file itself or in its log.

What was damaged is either told, or the execution goes on as if nothing had been: with the outputs of an unbroken run,
and without a step running again whose success is known. Anything between the two was used silently.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestrator.errors import OrchestratorError
from orchestrator.testing.harm import Broken, Harm
from orchestrator.testing.torture.life import EXECUTION_ID
from orchestrator.testing.torture.look import PARTS, look
from orchestrator.testing.torture.models import chain
from orchestrator.testing.torture.scenario import Scenario, require_told
from orchestrator.testing.torture.trial import End, Trial

_STORE_FAILED, _UNKNOWN = 5, 2


def _torn_file(trial: Trial) -> str:
    return _torn(trial, "")


def _torn_log(trial: Trial) -> str:
    return _torn(trial, "-wal")


def _torn(trial: Trial, part: str) -> str:
    trial.begin(chain(8, seconds=0.0, size=trial.chance.choice([50, 20_000])))
    trial.abandon(trial.chance.randint(5, 18))
    trial.check()
    trial.store = _settled(trial, in_file=part == "")
    path = Path(f"{trial.store}{part}")
    if not path.exists():
        return "no log was left"
    _keep(trial.store, trial.folder / "kept")
    how = _damage(trial, path)
    end = trial.command("resume", EXECUTION_ID).end()
    told = _is_told(end)
    if not told:
        require_harmless(trial, end, how)
    trial.witness.path.unlink()  # the story begins anew with what was put back
    _keep(trial.folder / "kept" / trial.store.name, trial.folder)
    trial.finish()
    return f"{how}: {'told' if told else 'harmless'}"


def _settled(trial: Trial, *, in_file: bool) -> Path:
    """The store, with everything in the file where that is wanted, instead of in the log."""
    if in_file:
        require_told(trial.command("list").end(), (0,), EXECUTION_ID)
    return trial.store


def _keep(store: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for part in (*PARTS, "-shm", "-mark"):
        kept, source = folder / f"{store.name}{part}", Path(f"{store}{part}")
        kept.unlink(missing_ok=True)
        if source.exists():
            shutil.copyfile(source, kept)


def _damage(trial: Trial, path: Path) -> str:
    size, chance = path.stat().st_size, trial.chance
    how = chance.choice(["cut", "a byte", "a page", "zeros"])
    with path.open("r+b") as file:
        if how == "cut":
            file.truncate(chance.randrange(size))
        else:
            length = 1 if how == "a byte" else 4096
            place = chance.randrange(max(1, size - length))
            file.seek(place)
            before = file.read(length)
            file.seek(place)
            after = bytes(length) if how == "zeros" else bytes(b ^ chance.randrange(1, 256) for b in before)
            file.write(after)
    return how


def _is_told(end: End) -> bool:
    """Whether the command said that the store is at fault, or that it holds no such execution."""
    if end.code == _STORE_FAILED:
        return "error: " in end.said
    return end.code == _UNKNOWN and "no execution" in end.said


def require_harmless(trial: Trial, end: End, how: str) -> None:
    """Raise Broken where a command that told of nothing went on with something else than what was recorded."""
    again = [start.identity for start in trial.witness.starts() if start.was_known]
    if end.code != 0:
        raise Broken(Harm.UNREPORTED, f"{trial.folder}: {how}: exit code {end.code}: {end.said[-1500:]}")
    if again:
        raise Broken(Harm.UNREPORTED, f"{trial.folder}: {how}: silently ran again: {again}")
    try:
        found = look(trial.store, EXECUTION_ID, sound=False)
    except OrchestratorError:  # it was not in the way of the work; whoever comes to it is told
        return
    if found is None or found.outputs != trial.unbroken():
        raise Broken(Harm.UNREPORTED, f"{trial.folder}: {how}: silently used: {found and found.outputs}")
    known = trial.witness.known()
    if changed := [identity for identity, digest in known.items() if found.succeeded.get(identity) != digest]:
        raise Broken(Harm.UNREPORTED, f"{trial.folder}: {how}: silently shown otherwise: {changed}")


SCENARIOS = (
    Scenario("torn-file", "the store is cut off, or bytes of it are changed", _torn_file),
    Scenario("torn-log", "the log of the store is cut off, or bytes of it are changed", _torn_log),
)
