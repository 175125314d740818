"""Time the sessions of a race, and keep the result file up to date."""

import functools
import time
from collections.abc import Sequence
from pathlib import Path

from gradrace.bench.data.files import write_json
from gradrace.bench.race import schema
from gradrace.bench.race.conclusions import conclude
from gradrace.bench.race.merging import merge
from gradrace.bench.race.plan import Arm, Block, Plan, interleaved
from gradrace.bench.race.session import Session, time_arms
from gradrace.bench.race.session_files import Event
from gradrace.bench.race.state import Race, Steps
from gradrace.bench.race.trial import Conditions


def arms_of(race: Race) -> tuple[Arm, ...]:
    """Return what every session times."""
    return tuple(Arm(**arm) for arm in race.about["arms"])


def fill_cache(arms: Sequence[Arm], conditions: Conditions, steps: Steps) -> None:
    """Let every backend compile once, so that the sessions start as before the interruption."""
    steps("compiling", 0)
    first = {
        arm.backend: Arm(arm.case, arm.backend, epochs=1, calls=1, repetitions=1) for arm in arms
    }
    plan = Plan(tuple(first.values()), "0", exact=str(conditions.exact))
    time_arms(plan, threads=conditions.threads, cache=conditions.cache, timeout=600)


def time_sessions(race: Race, path: Path, conditions: Conditions, steps: Steps) -> None:
    """Time the missing sessions; write the file after each."""
    arms = arms_of(race)
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
            plan,
            threads=conditions.threads,
            cache=conditions.cache,
            timeout=_timeout(plan),
            on_event=functools.partial(_tell, steps, doing),
        )
        _add(race, number, plan, session)
        write(race, path)


def _tell(steps: Steps, doing: str, event: Event) -> None:
    steps(f"{doing}: {event['arm']} on {event['case']}")


def _repeat_offenders(sessions: Sequence[schema.Session]) -> set[str]:
    """Return the arms during which two sessions have failed."""
    culprits = [session["during"] for session in sessions if session["failure"]]
    return {culprit for culprit in culprits if culprit and culprits.count(culprit) > 1}


def _wrong_arms(left_out: Sequence[schema.LeftOut]) -> set[str]:
    """Return the arms that have returned something wrong."""
    return {f"{entry['backend']} on {entry['case']}" for entry in left_out if entry["fault"]}


def _timeout(plan: Plan) -> float:
    """Return how many seconds a session may take: five times the estimate from the trials."""
    return 60 + 5 * sum((arm.repetitions + 4) * max(arm.block, 0.01) for arm in plan.arms)


def _add(race: Race, number: int, plan: Plan, session: Session) -> None:
    """Add the times of a session, or why it failed and during which arm."""
    during = ""
    if session.failure:
        during = _interrupted_block(plan, session)
    machine = session.results.get("machine_info")
    race.about["sessions"].append(
        {
            "number": number,
            "seed": plan.seed,
            "failure": session.failure + (f" (during {during})" if during else ""),
            "during": during,
            "libraries": machine["libraries"] if machine else None,
            **session.usage,
        }
    )
    if not session.failure:
        merge(race.content["benchmarks"], number, session.results["benchmarks"])
    wrong = {
        (event["case"], event["verdict"]["backend"]): event["verdict"]["reason"]
        for event in reversed(session.verdicts)
        if not event["verdict"]["agrees"]
    }
    for (case, backend), reason in wrong.items():
        race.about["left_out"].append(
            {
                "case": case,
                "backend": backend,
                "fault": True,
                "reason": f"in session {number}, {reason}",
            }
        )
    benchmarks = race.content["benchmarks"]
    benchmarks[:] = [  # an arm that is wrong once is not trusted in earlier sessions either
        arm for arm in benchmarks if (arm["group"], arm["extra_info"]["backend"]) not in wrong
    ]


def _interrupted_block(plan: Plan, session: Session) -> str:
    """Return the arm that was being timed or prepared when the session ended."""
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


def write(race: Race, path: Path) -> None:
    """Draw the conclusions and write the file."""
    timed = bool(race.about["arms"]) or race.interrupted  # otherwise there was nothing to time
    race.about["interrupted"] = timed and race.finished < race.settings.sessions
    conclude(race.content)
    write_json(path, race.content)
    if path not in race.files:
        race.files.append(path)
