"""The main job: verify the backends, time those that agree in several sessions, save and draw."""

import functools
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from pytest_benchmark import __version__ as engine_version
from pytest_benchmark.plugin import get_commit_info

import backends
from backends.interface import InputValueError
from bench import machine, results, roofline
from bench.agreement import Checked, check_backends
from bench.cases import REFERENCE, Case, parse
from bench.contestant import write_steps
from bench.files import replacing, write_table
from bench.model import save
from bench.oracle import ExactTrajectory, exact_trajectory
from bench.plan import Arm, Block, Plan, interleaved
from bench.problems import suite
from bench.results import Content
from bench.session import Event, Session, time_arms
from bench.settings import QUICK_SETTINGS, Settings
from bench.training import train
from bench.trial import Conditions, try_out

RESULT = "benchmark.json"
_DOUBTS = 3  # measurements of the limit after the race, before something is called impossible
_CHECK_PATIENCE = 300.0  # seconds per backend; some compile for every shape of the samples
ERRORS = "agreement.parquet"
_NO_BACKEND = ("cannot be imported", "has no function")  # as `backends.load` says it

Progress = Callable[[str, int, int], None]


@dataclass
class Race:
    """What a run has found so far; it grows while `run` works."""

    settings: Settings
    content: Content
    """The result file, see `results.py`."""
    interrupted: bool = False
    files: list[Path] = field(default_factory=list)
    """What was written, in order."""

    @property
    def about(self) -> Content:
        """What gradrace adds to pytest-benchmark's file."""
        about: Content = self.content["gradrace"]
        return about

    @property
    def finished(self) -> int:
        """How many sessions were timed to their end."""
        return sum(not session["failure"] for session in self.about["sessions"])

    @property
    def faults(self) -> list[str]:
        """Why the exit status is 1: what disagrees, what crashed, sessions that broke off."""
        left_out = [
            f"{entry['backend']} on {entry['case']}: {entry['reason']}"
            for entry in self.about["left_out"]
            if entry["fault"]
        ]
        broken = [
            f"session {session['number']} broke off: {session['failure']}"
            for session in self.about["sessions"]
            if session["failure"]
        ]
        return left_out + broken + self.impossible

    @property
    def impossible(self) -> list[str]:
        """What was faster than the machine can be, and what shows it."""
        return [
            f"{row['backend']} on {case['name']}: {row['impossible']}"
            for case in self.about["cases"]
            for row in case["arms"]
            if row["impossible"]
        ]


def run(
    folder: Path,
    settings: Settings = QUICK_SETTINGS,
    on_progress: Progress = lambda _doing, _done, _all: None,
) -> Race:
    """Verify backends and race them on cases; save results and pictures in `folder`.

    Writes agreement.parquet, agreement.png, benchmark.json, what `draw` writes, and what
    `model.save` writes for the reference line. `on_progress` gets what is being done, and how many
    of how many steps are done, of 0 before the sessions. Ctrl-C keeps the sessions that are
    finished, sets `interrupted`, and `resume` can complete the file.

    Raises:
        InputValueError: as `Settings.resolved`, or a backend cannot be imported or is none.
        OSError: the folder cannot be written to.

    """
    settings = settings.resolved()
    race = Race(settings, new_content(settings))
    steps = _Steps(on_progress)
    try:
        agreeing = _check(race, folder, steps)
        if agreeing:
            _measure(race, agreeing, folder / RESULT, steps)
        _finish(race, folder)
        _train(race, folder, steps)
    except KeyboardInterrupt:
        race.interrupted = True
        _finish(race, folder)
    return race


def measure(
    path: Path,
    settings: Settings,
    on_progress: Progress = lambda _doing, _done, _all: None,
) -> Race:
    """Time the backends and write the result file, nothing else: no pictures, no model.

    Ctrl-C keeps the sessions that are finished, and sets `interrupted`.

    Raises:
        InputValueError: as `Settings.resolved`.
        OSError: the file cannot be written.

    """
    settings = settings.resolved()
    race = Race(settings, new_content(settings))
    try:
        _measure(race, settings.backends, path, _Steps(on_progress))
    except KeyboardInterrupt:
        race.interrupted = True
    return race


def resume(path: Path, on_progress: Progress = lambda _doing, _done, _all: None) -> Race:
    """Complete a result file whose run was interrupted: time the sessions that are missing.

    The arms, calls and seeds are those of the file. Beside it are written the pictures and the
    model of the reference line, as `run` does.

    Raises:
        InputValueError: it is no result file, was made on another machine or with other versions or
            another state of a backend's file, was interrupted before its first session, or
            `Settings.resolved` refuses its settings.
        OSError: it cannot be read or written.

    """
    content = results.read(path)
    about = content["gradrace"]
    settings = _settings_of(about["settings"]).resolved()
    if not about["arms"]:
        raise InputValueError(f"{path}: was interrupted before the first session; run it again")
    if any(parse(arm["case"]) not in settings.cases for arm in about["arms"]):
        raise InputValueError(f"{path}: is damaged: its arms have other cases than its settings")
    race = Race(settings, content)
    now = _fingerprints(settings.backends)
    for name, before in about["fingerprints"].items():
        if now[name] != before:
            what = "has changed since" if now[name] else "is not there any more"
            raise InputValueError(f"{path}: {name} {what}; two states would be mixed")
    here = machine.facts()
    for key in ("cpu", "cores", "memory", "python_version"):
        if here[key] != content["machine_info"][key]:
            raise InputValueError(f"{path}: was begun on another machine ({key} differs)")
    about["sessions"] = [session for session in about["sessions"] if not session["failure"]]
    steps = _Steps(on_progress)
    try:
        with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
            conditions = _set_up(Path(name), settings, steps)
            _fill_cache(_arms_of(race), conditions, steps)
            _race(race, path, conditions, steps)
        _finish(race, path.parent, path)
        _train(race, path.parent, steps)
    except KeyboardInterrupt:
        race.interrupted = True
        _finish(race, path.parent, path)
    return race


def draw(source: Path, folder: Path) -> Iterator[Path]:
    """Draw every picture of a result file into `folder`; yield what was written.

    speed.png, speedup.png, breakeven.png, fastest.png, roofline.png. Those for which the file has
    no data are left out, and removed if they lie beside the file, from another run.

    Raises:
        InputValueError: it is no result file.
        OSError: it cannot be read, or the folder cannot be written to.

    """
    from plots import breakeven, fastest, speed, speedup
    from plots import roofline as roofline_plot

    content = results.read(source)
    with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
        concluded = Path(name) / RESULT  # from the data alone, whatever `source` concludes
        results.write(concluded, content)
        for module in (speed, speedup, breakeven, fastest, roofline_plot):
            picture = folder / f"{module.__name__.removeprefix('plots.')}.png"
            if module.drawable(content["gradrace"]):
                with replacing(picture) as target:
                    module.draw(concluded, target)
                yield picture
            elif folder == source.parent:
                picture.unlink(missing_ok=True)  # that of an earlier run would tell a lie


class _Steps:
    """Counts the steps of a race for the progress bar: the timed blocks, and what follows them.

    What precedes them is only named. It takes other times, from which none can be foretold.
    """

    def __init__(self, on_progress: Progress) -> None:
        self._tell, self._done, self._all = on_progress, 0, 0

    def __call__(self, doing: str, advance: int = 1) -> None:
        """Say what begins now; `advance` steps are done."""
        self._done += advance if self._all else 0
        self._tell(doing, self._done, max(self._all, self._done))

    def expect(self, blocks: int) -> None:
        """Say how many blocks there are, of all sessions together."""
        self._all = blocks


def new_content(settings: Settings) -> Content:
    """Return a result file without results."""
    facts = machine.facts()
    return {
        "machine_info": facts,
        "commit_info": get_commit_info(),
        "benchmarks": [],
        "datetime": datetime.now(UTC).isoformat(),
        "version": engine_version,
        "gradrace": {
            "schema": results.SCHEMA,
            "settings": {
                **vars(settings),
                "cases": [{**asdict(case), "name": case.name} for case in settings.cases],
            },
            "fingerprints": _fingerprints(settings.backends),
            "interrupted": False,
            "roofline": None,
            **{
                key: []
                for key in (
                    "arms", "sessions", "cases", "compile", "trials", "left_out", "verdicts",
                    "warnings",
                )
            },
        },
    }  # fmt: skip


def _settings_of(content: Content) -> Settings:
    """Return the settings that a file holds."""
    cases = tuple(
        Case(case["n"], case["d"], case["lr"], case["epochs"]) for case in content["cases"]
    )
    return Settings(**{**content, "backends": tuple(content["backends"]), "cases": cases})


def _fingerprints(specs: Sequence[str]) -> dict[str, str]:
    """Return what each backend is: a hash of its source, and the version of its library."""
    found = {}
    for spec in specs:
        path = backends.source(spec)
        source = hashlib.sha256(path.read_bytes()).hexdigest() if path and path.is_file() else ""
        version = backends.package_version(spec) if spec in backends.LADDER else None
        found[spec] = " ".join(part for part in (version, source) if part)
    return found


def _measure(race: Race, specs: Sequence[str], path: Path, steps: _Steps) -> None:
    """Try every backend on every case, then time the sessions; everything is verified first."""
    with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
        conditions = _set_up(Path(name), race.settings, steps)
        _measure_limit(race, conditions, steps)
        _try_out(race, specs, conditions, steps)
        _race(race, path, conditions, steps)
        if race.about["sessions"]:
            for _ in range(_DOUBTS):
                _measure_limit(race, conditions, steps)
                _write(race, path)
                if not race.impossible:
                    break


def _measure_limit(race: Race, conditions: Conditions, steps: _Steps) -> None:
    """Measure what the machine can do; of several measurements the best rates count."""
    if race.settings.limit:
        steps("measuring what the machine can do", 0)
        with suppress(RuntimeError):  # without a limit the race is a race all the same
            threads = min(race.settings.threads, len(machine.affinity()))
            found = roofline.measured(threads, conditions.cache)
            race.about["roofline"] = roofline.best(race.about["roofline"], found)


def _set_up(folder: Path, settings: Settings, steps: _Steps) -> Conditions:
    """Compute the exact sums, by which every session judges what it times."""
    exact, caches = folder / "exact", folder / "caches"
    for place in (exact, caches):
        place.mkdir()
    for case in settings.cases:
        steps(f"adding up {case.name} without rounding", 0)
        write_steps(case, exact)
    return Conditions(exact, caches, settings.threads, settings.budget, settings.longest)


def _try_out(race: Race, specs: Sequence[str], conditions: Conditions, steps: _Steps) -> None:
    """Find out what each backend needs on each case, and freeze it."""
    found = try_out(
        specs, race.settings.cases, conditions,
        repetitions=race.settings.repetitions, colds=3 if race.settings.kind == "full" else 1,
        on_trial=steps,
    )  # fmt: skip
    race.about.update(
        arms=[asdict(arm) for arm in found.arms],
        compile=found.compile,
        trials=found.calls,
    )
    race.about["verdicts"] += found.verdicts
    race.about["left_out"] += found.left_out


def _arms_of(race: Race) -> tuple[Arm, ...]:
    return tuple(Arm(**arm) for arm in race.about["arms"])


def _fill_cache(arms: Sequence[Arm], conditions: Conditions, steps: _Steps) -> None:
    """Let every backend compile once: the sessions start as those before the interruption did."""
    steps("compiling", 0)
    first = {
        arm.backend: Arm(arm.case, arm.backend, epochs=1, calls=1, repetitions=1) for arm in arms
    }
    plan = Plan(tuple(first.values()), "0", exact=str(conditions.exact))
    time_arms(plan, threads=conditions.threads, cache=conditions.cache, timeout=600)


def _race(race: Race, path: Path, conditions: Conditions, steps: _Steps) -> None:
    """Time the sessions that are missing; write the file after every one."""
    arms = _arms_of(race)
    missing = [
        number
        for number in range(1, race.settings.sessions + 1)
        if number not in {entry["number"] for entry in race.about["sessions"]}
    ]
    blocks = sum(arm.repetitions for arm in arms)
    begin = time.monotonic()
    steps.expect(len(missing) * (len(arms) + blocks))
    for number in missing:
        guilty = _repeat_offenders(race.about["sessions"]) | _wrong_arms(race.about["left_out"])
        plan = Plan(
            tuple(arm for arm in arms if f"{arm.backend} on {arm.job.name}" not in guilty),
            f"{race.settings.seed}-{number}",
            exact=str(conditions.exact),
        )
        if not plan.arms:
            break
        doing = f"session {number} of {race.settings.sessions}"
        steps(doing, 0)
        time.sleep(max(0.0, begin - time.monotonic()))
        begin = time.monotonic() + race.settings.spacing
        session = time_arms(
            plan, threads=conditions.threads, cache=conditions.cache, timeout=_patience(plan),
            on_event=functools.partial(_tell, steps, doing),
        )  # fmt: skip
        _add(race, number, plan, session)
        _write(race, path)


def _tell(steps: _Steps, doing: str, event: Event) -> None:
    steps(f"{doing}: {event['arm']} on {event['case']}")


def _repeat_offenders(sessions: list[Content]) -> set[str]:
    """Return the arms during which two sessions have broken off."""
    culprits = [session["during"] for session in sessions if session["failure"]]
    return {culprit for culprit in culprits if culprit and culprits.count(culprit) > 1}


def _wrong_arms(left_out: list[Content]) -> set[str]:
    """Return the arms that have returned something wrong."""
    return {f"{entry['backend']} on {entry['case']}" for entry in left_out if entry["fault"]}


def _patience(plan: Plan) -> float:
    """Return how many seconds a session may take: five times what the trials let expect."""
    return 60 + 5 * sum((arm.repetitions + 4) * max(arm.block, 0.01) for arm in plan.arms)


def _add(race: Race, number: int, plan: Plan, session: Session) -> None:
    """Take over what a session timed, or why it broke off and during which arm."""
    during = ""
    if session.failure:
        during = _interrupted_block(plan, session)
    race.about["sessions"].append(
        {
            "number": number,
            "seed": plan.seed,
            "failure": session.failure + (f" (during {during})" if during else ""),
            "during": during,
            "libraries": session.results.get("machine_info", {}).get("libraries"),
            **session.usage,
        }
    )
    if not session.failure:
        results.merge(race.content["benchmarks"], number, session.results["benchmarks"])
    wrong = {
        (event["case"], event["verdict"]["backend"]): event["verdict"]["reason"]
        for event in reversed(session.verdicts)
        if not event["verdict"]["agrees"]
    }
    for (case, backend), reason in wrong.items():
        race.about["left_out"].append(
            {
                "case": case, "backend": backend, "fault": True,
                "reason": f"in session {number}, {reason}",
            }
        )  # fmt: skip
    benchmarks = race.content["benchmarks"]
    benchmarks[:] = [  # what is wrong once is not believed in earlier sessions either
        arm for arm in benchmarks if (arm["group"], arm["extra_info"]["backend"]) not in wrong
    ]


def _interrupted_block(plan: Plan, session: Session) -> str:
    """Return the arm that was being timed or made ready when the session ended."""
    done = {
        (event["case"], event["arm"], event["repetition"])
        for event in session.events
        if event["event"] == "block"
    }

    def is_done(block: Block) -> bool:
        return (block.arm.job.name, block.arm.label, block.repetition) in done

    blocks = interleaved(plan.arms, plan.seed)
    return next(
        (f"{block.arm.backend} on {block.arm.job.name}" for block in blocks if not is_done(block)),
        "",
    )


def _write(race: Race, path: Path) -> None:
    """Draw the conclusions and write the file."""
    race.about["interrupted"] = race.finished < race.settings.sessions
    results.conclude(race.content)
    results.write(path, race.content)
    if path not in race.files:
        race.files.append(path)


def _finish(race: Race, folder: Path, path: Path | None = None) -> None:
    """Write the file even if nothing was timed; only then draw, so that no picture costs a race."""
    from plots import agreement as agreement_plot  # here, since matplotlib takes its time

    errors, picture = folder / ERRORS, folder / "agreement.png"
    timed = race.content["benchmarks"] or not race.interrupted
    if timed:
        _write(race, path or folder / RESULT)
    if errors in race.files and errors.exists():
        with replacing(picture) as temporary:
            agreement_plot.draw(errors, temporary)
        race.files.append(picture)
    if timed:
        race.files.extend(draw(path or folder / RESULT, folder))


def _train(race: Race, folder: Path, steps: _Steps) -> None:
    """Train on the reference line and save the model."""
    steps("training on the reference line")
    fit = train(REFERENCE.samples(), lr=REFERENCE.lr, epochs=REFERENCE.epochs)
    race.interrupted = fit.interrupted
    race.files.extend(save(fit, folder))


def _check(race: Race, folder: Path, steps: _Steps) -> list[str]:
    """Judge all on the reference line, each in a process of its own; return those that agree.

    Raises:
        InputValueError: one cannot be imported or lacks a function, so that it is no backend.

    """
    data, lr, epochs = REFERENCE.samples(), REFERENCE.lr, REFERENCE.epochs
    steps("computing the exact trajectory", 0)
    exact = exact_trajectory(data.X, data.y, lr=lr, epochs=epochs)
    checked: list[Checked] = []
    steps("checking the backends", 0)
    for result in check_backends(
        race.settings.backends, data.X, data.y, lr=lr, epochs=epochs, exact=exact, others=suite(),
        timeout=_CHECK_PATIENCE,
    ):  # fmt: skip
        checked.append(result)
        steps("checking the backends")
        if result.verdict.reason.startswith(_NO_BACKEND):
            raise InputValueError(f"backend {result.verdict.backend}: {result.verdict.reason}")
        if not result.verdict.agrees:
            verdict = asdict(result.verdict)
            race.about["verdicts"].append({"case": REFERENCE.name, "verdict": verdict})
            race.about["left_out"].append(
                {
                    "case": "every case",
                    "backend": verdict["backend"],
                    "reason": f"on {REFERENCE.name}, {verdict['reason']}",
                    "fault": True,
                }
            )
    if any(result.trajectory is not None for result in checked):
        for name in (ERRORS, "agreement.png"):
            (folder / name).unlink(missing_ok=True)  # that of an earlier run
        race.files.append(folder / ERRORS)  # first: Ctrl-C may come as soon as it is there
        write_table(error_table(checked, exact), folder / ERRORS)
    agreeing = {result.verdict.backend for result in checked if result.verdict.agrees}
    return [spec for spec in race.settings.backends if spec in agreeing]


def error_table(checked: Sequence[Checked], exact: ExactTrajectory) -> pa.Table:
    """Return a row per backend and epoch: backend, epoch, and |error| and bound of w, b and loss.

    Of several weights, the largest |error| and the largest bound.
    """
    tables = []
    for result in checked:
        if result.trajectory is None:
            continue
        epoch, w, b, loss = result.trajectory
        columns = {
            "backend": np.full(len(epoch), result.verdict.backend),
            "epoch": epoch,
            "w_error": exact.w.error(w).max(axis=1),
            "w_bound": exact.w.bound.max(axis=1),
            "b_error": exact.b.error(b),
            "b_bound": exact.b.bound,
            "loss_error": exact.loss.error(loss),
            "loss_bound": exact.loss.bound,
        }
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)
