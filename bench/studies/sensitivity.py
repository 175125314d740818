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
from pathlib import Path
from statistics import fmean

from msgspec.structs import replace

from gradrace.bench.race import run as race
from gradrace.bench.race.cases import Case, parse
from gradrace.bench.race.settings import Settings, choose
from gradrace.bench.race.verdict import statistics
from gradrace.bench.race.verdict.race import Race
from gradrace.bench.race.verdict.result import ResultFile
from gradrace.bench.race.verdict.statistics import Estimate, Times

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
    for case in content.gradrace.cases:
        versions = {name: one.times() for name, one in content.timed(case).items()}
        ((today, copy),) = content.copies(case).items()
        for name in versions.keys() - {today}:
            for number in range(tries):
                new, old, again = (
                    _of_try(times, number)
                    for times in (versions[name], versions[today], copy.times())
                )
                ratio = statistics.speed_up(new, old)
                noise = statistics.noise(statistics.speed_up(old, again))
                shown = statistics.verdict(ratio, noise, least=0.0) != statistics.UNDECIDED
                found.setdefault((case.name, name), []).append(ratio if shown else None)
    return found


def _of_try(times: Mapping[int, Times], number: int) -> dict[int, Times]:
    first = number * SESSIONS + 1
    return {s: times[s] for s in range(first, first + SESSIONS) if s in times}


def table(content: ResultFile, tries: int) -> list[str]:
    """Return the lines of a Markdown table: how often each slow-down was found.

    The real slow-down is that over all sessions: an epoch is more than its passes.
    """
    found = verdicts(content, tries)
    jobs = content.gradrace.cases
    heads = ["repeated", *(f"{job.name}: {what}" for job in jobs for what in ("slowdown", "found"))]
    lines = [heads, ["---"] * len(heads)]
    for backend in content.timed(jobs[0]):
        if Path(backend).name == _BACKEND.name:
            continue
        same = "@" in backend
        cells = ["nothing, from git" if same else f"{100 * _share(backend):g} %"]
        for job in jobs:
            shown = [ratio.value for ratio in found[job.name, backend] if ratio is not None]
            slower, faster = sum(r > 1 for r in shown), sum(r < 1 for r in shown)
            also = f", faster: {faster}" if faster else ""
            cells += [f"{100 * (_real(content, job, backend) - 1):.2f} %"]
            cells += [f"{slower} of {tries}{also}"]
        lines.append(cells)
    return ["| " + " | ".join(line) + " |" for line in lines]


def _share(backend: str) -> float:
    """Return the share of a pass that a copy repeats."""
    return float(Path(backend).stem.removeprefix("slowed-"))


def _real(content: ResultFile, job: Case, backend: str) -> float:
    """Return how many times as long as today's version another one took, over all sessions."""
    timed = content.timed(job)
    today = next(name for name in timed if Path(name).name == _BACKEND.name)
    whole = statistics.speed_up(timed[backend].times(), timed[today].times())
    assert whole is not None
    return whole.value


def main() -> None:
    """Print how often each slow-down is found; 20 tries take 40 minutes."""
    tries = int(sys.argv[1]) if sys.argv[1:] else 20
    with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
        folder, start = Path(name), time.monotonic()
        chosen = settings(versions(folder), tries)
        path = folder / "sensitivity.json"

        def tell(doing: str, done: int, total: int) -> None:
            if sys.stderr.isatty():
                print(f"\r{doing[-60:]:60} {done}/{total}", end="", file=sys.stderr)

        result = race.measure(path, chosen, tell)
        content = Race(path).content
        whole = content.gradrace.finished // SESSIONS
        for reason in result.faults:
            print(reason, file=sys.stderr)
        print(*table(content, whole), sep="\n")
        a = fmean(s.others for s in content.gradrace.sessions)
        minutes = (time.monotonic() - start) / 60
        print(f"\n{whole} tries, {minutes:.0f} minutes; other processes used {a:.2f} cores")


if __name__ == "__main__":
    main()
