"""The command: takes the samples and writes `RESULTS.md` with its charts.

python -m benchmarks                all, five rounds (about a quarter of an hour)
python -m benchmarks --quick        one round, smaller, printed only (about a minute)
python -m benchmarks --render       the page and the charts again from the samples of the last run
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine, process
from benchmarks.charts import write_charts
from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.page import page
from benchmarks.process import SampleFailedError
from benchmarks.results import Results, Sample
from benchmarks.rounds import Rounds
from benchmarks.workloads import WORKLOADS

HERE = Path(__file__).parent
SAMPLES = HERE / "samples.jsonl"
ENOUGH = 5


def options() -> argparse.Namespace:
    """The words of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round, smaller, printed only")
    parser.add_argument("--render", action="store_true", help="only write the page and the charts again")
    parser.add_argument(
        "--rounds", type=int, default=ENOUGH, help="how many samples of each (default 5; fewer are printed only)"
    )
    parser.add_argument("--only", default="", metavar="WORD", help="workloads whose key has this word; printed only")
    parser.add_argument("--folder", type=Path, default=HERE, help="on the disk that is to be measured (default here)")
    return parser.parse_args()


def main() -> None:
    """The command."""
    chosen = options()
    results = Results.load(SAMPLES) if chosen.render else taken(chosen)
    if chosen.quick or chosen.only or chosen.rounds < ENOUGH:
        print(page(results))
        return
    results.save(SAMPLES)
    drawn = write_charts(results, HERE / "charts")
    (HERE / "RESULTS.md").write_text(page(results, [path.stem for path in drawn]))
    print(f"{HERE / 'RESULTS.md'} and {len(drawn)} charts written")


def taken(chosen: argparse.Namespace) -> Results:
    """Run everything."""
    results = Results("python -m " + shlex.join(["benchmarks", *sys.argv[1:]]), machine.facts(chosen.folder))
    wanted = [contender for contender in CONTENDERS if not (chosen.quick and contender.is_slow)]
    present = [contender for contender in wanted if is_installed(contender, results)]
    workloads = [workload for workload in WORKLOADS if chosen.only in workload.key]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="measuring-", dir=chosen.folder) as folder:
        rounds = Rounds(Path(folder), chosen.quick)
        for sample in rounds.samples(present, workloads, 1 if chosen.quick else chosen.rounds):
            results.samples.append(sample)
            print(line(sample, time.monotonic() - began), file=sys.stderr, flush=True)
    return results


def is_installed(contender: Contender, results: Results) -> bool:
    """Note a contender's versions, or why it cannot be measured."""
    try:
        results.versions[contender.name] = process.versions(contender)
    except SampleFailedError as error:
        results.reasons[contender.name] = error.what
    return contender.name in results.versions


def line(sample: Sample, seconds: float) -> str:
    """What is said while it runs."""
    measured = sample.reason or f"{sample.measured['seconds']:.3f} s" if "seconds" in sample.measured else "done"
    return f"{seconds:5.0f} s  round {sample.round + 1}  {sample.workload:13}{sample.contender:28}{measured}"


if __name__ == "__main__":
    main()
