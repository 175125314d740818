"""How small a slow-down `gradrace run --against` finds, and how often it is wrong.

`python -m gradrace.bench.studies.sensitivity [TRIES]` commits a backend to a repository of its own,
and races it against its earlier self and against copies that repeat 0, 0.5, 1, 2, 3, 5 and 10 % of
every pass. All of them race in the same sessions; each try has ten sessions of its own, as many as
`--against` has. So a try is what `--against` would have answered about each slow-down.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Annotated

import typer
from gradrace.bench.race.schema import ResultFile

from gradrace.bench.race import results, statistics
from gradrace.bench.race import run as race
from gradrace.bench.race.cases import parse
from gradrace.bench.race.merging import times
from gradrace.bench.race.settings import Settings, choose
from gradrace.bench.race.statistics import Estimate, Times

SHARES = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
JOBS = ("1000x1@2000", "100000x10@20")
"""A small and a large one: 16 kB and 8.8 MB."""
SESSIONS = 10
"""In a try."""

_BACKEND = Path(__file__).with_name("slowed.py")


def versions(folder: Path) -> list[str]:
    """Write the backend, commit it, and write the slower copies; return their names.

    The first is the backend of today, the second its earlier self.
    """
    file, source = folder / _BACKEND.name, _BACKEND.read_text(encoding="utf-8")
    shutil.copy(_BACKEND, file)
    who = ("-c", "user.name=study", "-c", "user.email=study@localhost")
    for command in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "before")):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    names = [str(file), f"{file}@HEAD"]
    for share in SHARES:
        copy = folder / f"slowed-{share}.py"
        copy.write_text(source.replace("SHARE = 0.0", f"SHARE = {share}"), encoding="utf-8")
        names.append(str(copy))
    return names


def settings(specs: Sequence[str], tries: int) -> Settings:
    """Return the settings of `--against`, with enough sessions for all tries."""
    chosen = choose(backends=specs, jobs=[parse(text) for text in JOBS])
    return replace(chosen, sessions=SESSIONS * tries, repetitions=30, spacing=0.0, limit=False)


def verdicts(content: ResultFile, tries: int) -> dict[tuple[str, str], list[Estimate | None]]:
    """Return (case, version) → for each try, its ratio of times to today's where shown, or None.

    The ratio is 1 where no difference is shown.
    """
    found: dict[tuple[str, str], list[Estimate | None]] = {}
    for name in {arm["group"] for arm in content["benchmarks"]}:
        arms = {
            (info["backend"], info["duplicate"]): times(arm)
            for arm in content["benchmarks"]
            if arm["group"] == name and (info := arm["extra_info"])
        }
        today = next(backend for backend, duplicate in arms if duplicate)
        for (backend, duplicate), other in arms.items():
            if backend == today or duplicate:
                continue
            for number in range(tries):
                new, old, copy = (
                    _of_try(part, number) for part in (other, arms[today, False], arms[today, True])
                )
                ratio = statistics.speed_up(new, old)
                noise = statistics.floor(statistics.speed_up(old, copy))
                shown = statistics.verdict(ratio, noise, least=0.0) != statistics.UNDECIDED
                found.setdefault((name, backend), []).append(ratio if shown else None)
    return found


def _of_try(arm: Mapping[int, Times], number: int) -> dict[int, Times]:
    first = number * SESSIONS + 1
    return {s: arm[s] for s in range(first, first + SESSIONS) if s in arm}


def table(content: ResultFile, tries: int) -> list[str]:
    """Return the lines of a Markdown table: how often each slow-down was found.

    The real slow-down is that over all sessions: an epoch is more than its passes.
    """
    found = verdicts(content, tries)
    jobs = [case["name"] for case in content["gradrace"]["cases"]]
    heads = ["repeated", *(f"{job}: {what}" for job in jobs for what in ("slowdown", "found"))]
    lines = [heads, ["---"] * len(heads)]
    for backend in dict.fromkeys(backend for _, backend in found):
        same = "@" in backend
        cells = ["nothing, from git" if same else f"{100 * _share(backend):g} %"]
        for job in jobs:
            shown = [ratio.value for ratio in found[job, backend] if ratio is not None]
            slower, faster = sum(r > 1 for r in shown), sum(r < 1 for r in shown)
            also = f", faster: {faster}" * bool(faster)
            cells += [f"{100 * (_real(content, job, backend) - 1):.2f} %"]
            cells += [f"{slower} of {tries}{also}"]
        lines.append(cells)
    return ["| " + " | ".join(line) + " |" for line in lines]


def _share(backend: str) -> float:
    """Return the share of a pass that a copy repeats."""
    return float(Path(backend).stem.removeprefix("slowed-"))


def _real(content: ResultFile, job: str, backend: str) -> float:
    """Return how many times as long as today's version another one took, over all sessions."""
    arms = {
        arm["extra_info"]["backend"]: times(arm)
        for arm in content["benchmarks"]
        if arm["group"] == job and not arm["extra_info"]["duplicate"]
    }
    today = next(name for name in arms if Path(name).name == _BACKEND.name)
    whole = statistics.speed_up(arms[backend], arms[today])
    assert whole is not None
    return whole.value


def main(
    tries: Annotated[int, typer.Argument(help="How many times each slow-down is tried.")] = 20,
) -> None:
    """Print how often each slow-down is found; 20 tries take 40 minutes."""
    with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
        folder, start = Path(name), time.monotonic()
        chosen = settings(versions(folder), tries)
        path = folder / "sensitivity.json"

        def tell(doing: str, done: int, total: int) -> None:
            if sys.stderr.isatty():
                print(f"\r{doing[-60:]:60} {done}/{total}", end="", file=sys.stderr)

        result = race.measure(path, chosen, tell)
        whole = result.finished // SESSIONS
        content = results.read(path)
        for reason in result.faults:
            print(reason, file=sys.stderr)
        print(*table(content, whole), sep="\n")
        a = fmean(s["others"] for s in content["gradrace"]["sessions"])
        minutes = (time.monotonic() - start) / 60
        print(f"\n{whole} tries, {minutes:.0f} minutes; other processes used {a:.2f} cores")


if __name__ == "__main__":
    typer.run(main)
