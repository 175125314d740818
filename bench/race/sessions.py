"""Time the sessions of a race, and keep the result file up to date."""

import functools
import time
from collections.abc import Sequence

from msgspec.structs import asdict

from gradrace.bench.race.plan import Contender, Plan, Turn, interleaved
from gradrace.bench.race.session import Block, Event, Session, time_plan
from gradrace.bench.race.trial import Conditions
from gradrace.bench.race.verdict.race import Counter, Race
from gradrace.bench.race.verdict.result import LeftOut, merge
from gradrace.bench.race.verdict.result import Session as Recorded


def fill_cache(contenders: Sequence[Contender], conditions: Conditions, steps: Counter) -> None:
    """Let every backend compile once, so that the sessions start as before the interruption."""
    steps("compiling", 0)
    first = {
        one.backend: Contender(one.case, one.backend, epochs=1, calls=1, repetitions=1)
        for one in contenders
    }
    plan = Plan(tuple(first.values()), "0", exact=str(conditions.exact))
    time_plan(plan, threads=conditions.threads, cache=conditions.cache, timeout=600)


def time_sessions(race: Race, conditions: Conditions, steps: Counter) -> None:
    """Time the missing sessions; write the file after each."""
    contenders, settings = race.about.contenders, race.about.settings
    done = {session.number for session in race.about.sessions}
    missing = [number for number in range(1, settings.sessions + 1) if number not in done]
    blocks = sum(one.repetitions for one in contenders)
    begin = time.monotonic()
    steps.expect(len(missing) * (len(contenders) + blocks))
    for number in missing:
        guilty = _repeat_offenders(race.about.sessions) | _wrong(race.about.left_out)
        plan = Plan(
            tuple(one for one in contenders if f"{one.backend} on {one.job.name}" not in guilty),
            f"{settings.seed}-{number}",
            exact=str(conditions.exact),
        )
        if not plan.contenders:
            break
        doing = f"session {number} of {settings.sessions}"
        steps(doing, 0)
        time.sleep(max(0.0, begin - time.monotonic()))
        begin = time.monotonic() + settings.spacing
        session = time_plan(
            plan,
            threads=conditions.threads,
            cache=conditions.cache,
            timeout=_timeout(plan),
            on_event=functools.partial(_tell, steps, doing),
        )
        _add(race, number, plan, session)
        race.write()


def _tell(steps: Counter, doing: str, event: Event) -> None:
    steps(f"{doing}: {event.contender} on {event.case}")


def _repeat_offenders(sessions: Sequence[Recorded]) -> set[str]:
    """Return the contenders during which two sessions have failed."""
    culprits = [session.during for session in sessions if session.failure]
    return {culprit for culprit in culprits if culprit and culprits.count(culprit) > 1}


def _wrong(left_out: Sequence[LeftOut]) -> set[str]:
    """Return the contenders that have returned something wrong."""
    return {f"{one.backend} on {one.case}" for one in left_out if one.fault}


def _timeout(plan: Plan) -> float:
    """Return how many seconds a session may take: five times the estimate from the trials."""
    return 60 + 5 * sum((one.repetitions + 4) * max(one.block, 0.01) for one in plan.contenders)


def _add(race: Race, number: int, plan: Plan, session: Session) -> None:
    """Add the times of a session, or why it failed and during which contender."""
    during = _interrupted_block(plan, session) if session.failure else ""
    failure = f"{session.failure} (during {during})" if during else session.failure
    machine = session.results.machine_info
    race.about.sessions.append(
        Recorded(
            number=number,
            seed=plan.seed,
            failure=failure,
            during=during,
            libraries=machine.libraries if machine else None,
            **asdict(session.usage),
        )
    )
    benchmarks = race.content.benchmarks
    if not session.failure:
        merge(benchmarks, number, session.results.benchmarks)
    wrong = {
        (event.case, event.verdict.backend): event.verdict.reason
        for event in reversed(session.verdicts)
        if not event.verdict.agrees
    }
    for (case, backend), reason in wrong.items():
        race.about.left_out.append(
            LeftOut(case, backend, f"in session {number}, {reason}", fault=True)
        )
    # what is wrong once is not trusted in earlier sessions either
    benchmarks[:] = [one for one in benchmarks if (one.group, one.backend) not in wrong]


def _interrupted_block(plan: Plan, session: Session) -> str:
    """Return the contender that was being timed or prepared when the session ended."""
    done = {
        (event.case, event.contender, event.repetition)
        for event in session.events
        if isinstance(event, Block)
    }

    def is_done(turn: Turn) -> bool:
        return (turn.contender.job.name, turn.contender.label, turn.repetition) in done

    turns = interleaved(plan.contenders, plan.seed)
    left = (turn.contender for turn in turns if not is_done(turn))
    return next((f"{one.backend} on {one.job.name}" for one in left), "")
