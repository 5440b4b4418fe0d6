"""`python -m benchmarks [section ...]`: measure, and print what benchmarks/README.md holds."""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import against, report, startup, turns, workloads
from benchmarks.frameworks import THREADS
from benchmarks.report import duration, table
from benchmarks.turns import Child, compare
from benchmarks.workloads import Workload

QUICK = 10  # times fewer cases of reliability with --quick
BOTH = (turns.OURS, turns.COMPILED)
FRAMEWORKS = (*BOTH, "torch", "jax", "keras", "sklearn", "limit")


class Suite:
    """The sections, and what they have measured so far."""

    def __init__(self, rounds: int, seconds: float, quick: bool = False) -> None:
        self.rounds = rounds
        self.seconds = seconds
        self.quick = quick
        self.results: dict[str, Any] = {}
        self.curves: dict[str, dict[str, dict[int, float]]] = {}  # see report.draw_growth

    def _compare(
        self, mode: str, chosen: Sequence[Workload], frameworks: Sequence[str], losses: bool
    ) -> dict[str, dict[str, turns.Result]]:
        """By workload and framework; prints the table."""
        children = [Child(framework, mode) for framework in frameworks]
        for child in children:
            if child.absent:
                print(f"({child.absent})")
        peers = [c.framework for c in children if c.framework != turns.OURS and not c.absent]
        rows, results = [], {}
        for workload in chosen:
            found = compare(workload, children, self.rounds, self.seconds, losses)
            results[workload.name] = found
            row = ratios(found)
            cells = [
                "–"
                if name not in row
                else f"{row[name]:.0%}"
                if name == "limit"
                else f"{row[name]:.2f} ×"
                for name in peers
            ]
            rows.append([workload.name, duration(found[turns.OURS].seconds), *cells])
        for child in children:
            child.close()
        print(table(["workload", "nnlite", *peers], rows))
        return results

    def _ratios(
        self, mode: str, chosen: Sequence[Workload], frameworks: Sequence[str], losses: bool
    ) -> dict[str, dict[str, float]]:
        """Times nnlite's, by workload and framework; prints the table."""
        results = self._compare(mode, chosen, frameworks, losses)
        return {name: ratios(found) for name, found in results.items()}

    def _peaks(self, workload: Workload, frameworks: Sequence[str]) -> None:
        """Peak memory of a process that trains the workload, by framework."""
        peaks = startup.peak_memory(workload, frameworks)
        rows = [
            [name, f"{peak / 1e6:.0f} MB", f"{peak / peaks[turns.OURS]:.2f} ×"]
            for name, peak in peaks.items()
        ]
        print("\n" + table([f"training {workload.name}", "peak memory", "times nnlite's"], rows))
        self.results.setdefault("memory", {})[workload.name] = peaks

    def steps(self) -> None:
        """Full training steps beside the peers."""
        chosen = [*workloads.TABLE, workloads.SGD]
        found = self._ratios("training", chosen, FRAMEWORKS, losses=True)
        rows = [{turns.OURS: 1.0, **found[w.name]} for w in workloads.TABLE]
        for peer in (turns.OURS, "torch", "jax"):
            for ours in BOTH:
                over = [row[peer] / row[ours] for row in rows if peer in row and ours in row]
                if over and ours != peer:
                    mean = statistics.geometric_mean(over)
                    print(f"geometric mean of {ours} over {peer}: {mean:.2f} ×")
        self.results["steps"] = found

    def sequences(self) -> None:
        """Training steps of recurrent layers and of an embedding."""
        self.results["sequences"] = self._ratios(
            "training", workloads.SEQUENCES, (*BOTH, "torch", "jax", "keras"), losses=True
        )

    def attention(self) -> None:
        """Training steps of a transformer layer."""
        self.results["attention"] = self._ratios(
            "training", workloads.ATTENTION, (*BOTH, "torch", "jax"), losses=True
        )

    def inference(self) -> None:
        """Latency at batch 1 and throughput at batch 1,024."""
        chosen = [workloads.LATENCY, workloads.THROUGHPUT]
        self.results["inference"] = self._ratios("inference", chosen, FRAMEWORKS, losses=False)

    def growth(self) -> None:
        """Training steps of nets that grow: in width, batch size, depth and time steps."""
        frameworks = (*BOTH, "torch", "jax", "limit")
        self.results["growth"] = {}
        for what, by_size in workloads.GROWTH.items():
            print(f"\n{what} from {min(by_size)} to {max(by_size)}\n")
            found = self._compare("training", [*by_size.values()], frameworks, losses=False)
            curves: dict[str, dict[int, float]] = {name: {} for name in frameworks}
            for size, workload in by_size.items():
                for name, one in found[workload.name].items():
                    if not one.absent:
                        curves[name][size] = one.seconds
            self.curves[what] = curves
            self.results["growth"][what] = curves

    def convolutions(self) -> None:
        """Training steps of convolution nets, and their peak memory."""
        frameworks = (*BOTH, "torch", "jax", "keras", "limit")
        self.results["convolutions"] = self._ratios(
            "training", workloads.CONVOLUTIONS, frameworks, losses=True
        )
        for workload in workloads.CONVOLUTIONS:
            self._peaks(workload, frameworks[:-1])

    def startup(self) -> None:
        """Imports, and from process start to a trained spiral."""
        imports = startup.take_turns(startup.IMPORTS, 3 * self.rounds, "nnlite")
        rows = [[name, duration(s), f"{ratio:.2f} ×"] for name, (s, ratio) in imports.items()]
        print(table(["import", "seconds", "times nnlite's"], rows))
        share = imports["nnlite"][0] / imports["numpy + tqdm"][0]
        print(f"import nnlite costs {share:.2f} times numpy + tqdm")
        spirals = startup.take_turns(startup.SPIRALS, self.rounds, "nnlite")
        rows = [[name, duration(s), f"{ratio:.2f} ×"] for name, (s, ratio) in spirals.items()]
        print(table(["process start to trained spirals", "seconds", "times nnlite's"], rows))
        self.results["startup"] = {"imports": imports, "spirals": spirals}

    def compile(self) -> None:
        """The first step of a process: with nothing compiled yet, and with what is on disk."""
        chosen = [
            *[workloads.TABLE[1], workloads.TABLE[3], *workloads.SEQUENCES[:2]],
            *[*workloads.ATTENTION, *workloads.CONVOLUTIONS],
        ]
        found = {workload.name: startup.first_steps(workload) for workload in chosen}
        columns = [*found[chosen[0].name]]
        rows = [
            [name, *(duration(times[column]) if column in times else "–" for column in columns)]
            for name, times in found.items()
        ]
        print(table(["first step", *columns], rows))
        self.results["compile"] = found

    def memory(self) -> None:
        """Peak memory of a process that trains the digits-sized model."""
        self._peaks(workloads.TABLE[1], FRAMEWORKS[:-1])

    def fit(self) -> None:
        """What `Trainer.fit` costs over the bare loop."""
        from benchmarks.fit import cost_of_fit

        cost = cost_of_fit(workloads.TABLE[1], self.rounds)
        print(f"Trainer.fit over the bare loop, 64-128-64-10 at batch 64: {cost - 1:+.1%}")
        self.results["fit"] = cost

    def prefetch(self) -> None:
        """How much of a 5 ms load is hidden behind a 10 ms step."""
        from benchmarks.prefetch import hidden_share, loads

        shares = {name: hidden_share(load, self.rounds) for name, load in loads().items()}
        for name, (share, step) in shares.items():
            print(f"a load of 5 ms that {name}, behind a step of {step:.1f} ms: {share:.0%} hidden")
        self.results["prefetch"] = shares

    def parallel(self) -> None:
        """Training on several ranks: on these cores, and as a model predicts it for more."""
        from benchmarks import parallel

        missing = parallel.missing()
        if missing:
            print(f"({missing})")
            return
        cores = len(os.sched_getaffinity(0))
        rows, ratios = [], {}
        for workload in parallel.SCALED:
            one, ranks = parallel.speeds(workload, cores, cores, self.rounds)
            ratios[workload.name] = one / ranks
            rows.append([workload.name, duration(one), duration(ranks), f"{one / ranks:.2f} ×"])
        header = ["a step of fit", f"1 process, {cores} threads", f"{cores} ranks", "as fast"]
        print(table(header, rows))
        here, hidden = parallel.network()
        print(
            f"\na sum over 2 ranks here: {duration(2 * here.latency)} for one number, then "
            f"{here.bandwidth / 1e9:.1f} GB/s; of a sum begun before a product of matrices, "
            f"{max(hidden, 0):.0%} is done when that is"
        )
        for network in (here, parallel.ETHERNET):
            print(f"\npredicted speed in times one core's, by {network.name}\n")
            print(table(*parallel.prediction(network)))
        self.results["parallel"] = {"as fast": ratios, "network": here._asdict(), "hidden": hidden}

    def saving(self) -> None:
        """What a checkpoint costs over numpy.savez, sync and rename of the same arrays."""
        from benchmarks.saving import cost_of_saving

        rows = []
        for width in (64, 512, 2048):
            size, seconds, ratio = cost_of_saving(width, self.rounds)
            rows.append([f"{size / 1e6:.1f} MB", duration(seconds), f"{ratio:.2f} ×"])
            self.results.setdefault("saving", {})[width] = ratio
        print(table(["checkpoint", "seconds", "times numpy's"], rows))

    def reliability(self) -> None:
        """Files changed by hand, runs that are killed, calls cut short, and sixteen threads."""
        from benchmarks.reliability.outcomes import SUBJECTS, counts, tell
        from benchmarks.reliability.workers import outcomes

        for subject in SUBJECTS:
            start = time.perf_counter()
            found = outcomes(subject, subject.cases // (QUICK if self.quick else 1))
            print(tell(subject, found))
            print(f"\n({time.perf_counter() - start:.0f} s)\n", flush=True)
            self.results.setdefault("reliability", {})[subject.name] = counts(subject, found)

    def hostile(self) -> None:
        """Every argument of every public class and function with values that make no sense."""
        command = [sys.executable, "-m", "benchmarks.hostile"]
        *wrong, counts = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, cwd=turns.ROOT
        ).stdout.splitlines()
        print("\n".join(wrong))
        found = json.loads(counts)
        print(
            f"{sum(found.values()):,} calls: " + ", ".join(f"{n:,} {k}" for k, n in found.items())
        )
        self.results["hostile"] = found

    def search(self) -> None:
        """A grid search of 20 fits, beside scikit-learn's MLPClassifier (needs scikit-learn)."""
        from benchmarks.search import seconds_of_search

        found = seconds_of_search()
        for name, (seconds, score) in found.items():
            print(f"20 fits of {name}: {seconds:.1f} s, best accuracy {score:.3f}")
        self.results["search"] = found

    def digits(self) -> None:
        """The main job: accuracy and time of examples/15_digits.py."""
        from benchmarks.digits import run

        for attempt in range(2):
            accuracy, seconds = run()
            print(f"digits, run {attempt + 1}: {accuracy:.2%} test accuracy in {seconds:.1f} s")
        self.results["digits"] = {"accuracy": accuracy, "seconds": seconds}

    def inspection(self) -> None:
        """What it costs to look inside."""
        from benchmarks.inspection import cost_of_trace, page_of_lenet

        costs = {w.name: cost_of_trace(w, self.rounds) for w in workloads.TABLE[:3]}
        for name, cost in costs.items():
            print(f"trace of {name}: {cost:.2f} times a plain step")
        size, seconds = page_of_lenet()
        answers = "no Chromium here" if seconds is None else f"answers after {duration(seconds)}"
        print(f"page of a LeNet on 4 digits: {size / 1e6:.2f} MB, {answers}")
        self.results["inspection"] = {"trace": costs, "page": {"bytes": size, "seconds": seconds}}

    def checks(self) -> None:
        """What check_gradients costs, catches and tells."""
        from benchmarks.inspection import shares_of_corpora, time_of_check

        checked = time_of_check(self.rounds)
        print(f"check_gradients on a layer of 10,100 parameters: {duration(checked)}")
        found = shares_of_corpora()
        print(f"{found['right']} right layers and losses: {found['false alarms']} false alarms")
        print(
            f"{found['wrong']} wrong ones: {found['caught']:.1%} caught, {found['named']:.1%} told "
            f"their cause in the first two sentences, {duration(found['seconds'])} each"
        )
        self.results["checks"] = {"check": checked, **found}

    def gradients(self) -> None:
        """The worst error of every layer's and loss's gradient."""
        from benchmarks.gradients import worst_errors

        errors = worst_errors()
        name = max(errors, key=errors.__getitem__)
        print(
            f"gradients of {len(errors)} rows against differences in float64: "
            f"relative error at most {errors[name]:.1e} ({name})"
        )
        self.results["gradients"] = errors

    def accuracy(self) -> None:
        """The largest errors of activations and losses over the whole range, in ulps."""
        from benchmarks.accuracy import worst

        errors = worst()
        rows = [[name, *(f"{ulps:.1f}" for ulps in row)] for name, row in errors.items()]
        columns = ["float32: value", "derivative", "float64: value", "derivative"]
        print(table(["function", *columns], rows))
        self.results["accuracy"] = errors

    def structure(self) -> None:
        """How far one walks through the code to follow a gradient, and a fit."""
        from benchmarks.structure import circles, loose, one_fit, one_gradient

        print(f"{len(circles())} import circles, {len(loose())} modules outside a room")
        for name, walk in (("a gradient", one_gradient()), ("a fit", one_fit())):
            print(
                f"to follow {name}: {len(walk.files)} files, {walk.functions} functions, "
                f"{walk.hops} times from one file to another"
            )
            print("  " + ", ".join(walk.files))


def ratios(found: Mapping[str, turns.Result]) -> dict[str, float]:
    """The peers' times in times nnlite's, of those that were measured."""
    return {
        name: one.ratio
        for name, one in found.items()
        if name != turns.OURS and not math.isnan(one.ratio)
    }


SECTIONS: dict[str, Callable[[Suite], None]] = {
    name: method
    for name, method in vars(Suite).items()
    if callable(method) and not name.startswith("_")
}


def main() -> None:
    """Run the sections asked for, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(SECTIONS))
    parser.add_argument("--rounds", type=int, default=7, help="bursts per framework (default 7)")
    parser.add_argument("--seconds", type=float, default=0.5, help="per burst (default 0.5)")
    parser.add_argument(
        "--against", metavar="REVISION", help="compare the steps with those of this git revision"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"with --against: main workloads only; reliability: 1 case in {QUICK}",
    )
    parser.add_argument(
        "--threads", type=int, default=THREADS, help=f"with --against (default {THREADS})"
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--chart", metavar="FILE", help="draw steps and growth (needs matplotlib)")
    options = parser.parse_args()
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"unknown sections {sorted(unknown)}; there are {', '.join(SECTIONS)}")
    print(", ".join(f"{name} {value}" for name, value in report.machine().items()))
    suite = Suite(options.rounds, options.seconds, options.quick)
    if options.against:
        if options.sections not in ([], ["steps"]):
            parser.error("--against compares the steps: python -m benchmarks steps --against …")
        print(f"\n## steps: this tree against {options.against}\n")
        plan = against.QUICK if options.quick else against.THOROUGH
        plan = plan._replace(threads=options.threads)
        suite.results["against"] = against.against(options.against, plan)
    for name in () if options.against else options.sections or SECTIONS:
        start = time.perf_counter()
        print(f"\n## {name}: {SECTIONS[name].__doc__}\n")
        SECTIONS[name](suite)
        print(f"\n({time.perf_counter() - start:.0f} s)", flush=True)
    if options.json:
        report.write_json(options.json, suite.results)
    if options.chart and "steps" in suite.results:
        report.draw(options.chart, suite.results["steps"])
    if options.chart and suite.curves:
        chart = Path(options.chart)
        path = chart.with_stem(f"{chart.stem}-growth") if "steps" in suite.results else chart
        report.draw_growth(str(path), suite.curves)


if __name__ == "__main__":
    main()
