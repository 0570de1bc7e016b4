"""Run steps by hand, with an execution's parts around them: progress, recovery, checkpoints, a status.

python examples/by_hand/penguins.py
"""

import asyncio
import csv
import json
from pathlib import Path
from statistics import mean

from orchestrator.execution.integration import ComprehensiveExecutionManager
from orchestrator.execution.progress import ProgressEvent

DATA = Path(__file__).parents[1] / "penguins" / "data" / "penguins.csv"


def load() -> list[dict[str, str]]:
    """The rows that say everything."""
    with DATA.open() as file:
        return [row for row in csv.DictReader(file) if all(row.values()) and "NA" not in row.values()]


async def weigh(rows: list[dict[str, str]], species: str, manager: ComprehensiveExecutionManager) -> float:
    """The mean mass of a species, in grams; says how far it is."""
    masses = []
    mine = [row for row in rows if row["species"] == species]
    for number, row in enumerate(mine, 1):
        masses.append(float(row["body_mass_g"]))
        if number % 40 == 0:
            manager.update_step_progress(species, 100 * number / len(mine), f"{number} of {len(mine)}")
            await asyncio.sleep(0)
    return round(mean(masses), 1)


def flaky_upload() -> str:
    """Fails the first time, as networks do."""
    if not getattr(flaky_upload, "tried", False):
        flaky_upload.tried = True  # type: ignore[attr-defined]
        raise ConnectionError("the other side hung up")
    return "uploaded"


def tell(event: ProgressEvent) -> None:
    """A line for each event."""
    print(f"{event.sequence:>3}  {event.event_type:<20} {event.step_id or '':<10} {event.message or ''}".rstrip())


async def main() -> None:
    """Load, weigh three species at once, go back from a mistake, upload."""
    with ComprehensiveExecutionManager("monday", "penguins") as manager:
        manager.progress_tracker.add_event_handler(tell)
        manager.start_execution(total_steps=5)

        if not await manager.execute_step_with_recovery("rows", "Load the rows", load):
            manager.complete_execution(success=False)
            return
        rows = manager.variable_manager.get_variable("rows")
        species = ["Adelie", "Chinstrap", "Gentoo"]
        await asyncio.gather(
            *(
                manager.execute_step_with_recovery(name, f"Weigh {name}", lambda name=name: weigh(rows, name, manager))
                for name in species
            )
        )
        weighed = manager.create_checkpoint("weighed")

        manager.variable_manager.set_variable("Adelie", -1)  # a mistake, taken back
        manager.restore_checkpoint(weighed.id)

        uploaded = await manager.execute_step_with_recovery("upload", "Upload the result", flaky_upload)
        manager.complete_execution(success=uploaded)
        print({name: manager.variable_manager.get_variable(name) for name in species})
        print(json.dumps(manager.get_execution_status()["progress"]))


if __name__ == "__main__":
    asyncio.run(main())
