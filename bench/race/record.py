"""The result file at the start of a race, and what a saved one says about its backends."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import cast

from pytest_benchmark import __version__ as engine_version
from pytest_benchmark.plugin import get_commit_info

from gradrace import backends
from gradrace.bench.data.origin import version
from gradrace.bench.machine import facts
from gradrace.bench.race import schema
from gradrace.bench.race.cases import Case
from gradrace.bench.race.schema import ResultFile
from gradrace.bench.race.settings import Settings


def new_content(settings: Settings) -> ResultFile:
    """Return a result file without results; the settings must be `resolved`."""
    return {
        "machine_info": facts.machine_info(),
        "commit_info": get_commit_info(),
        "benchmarks": [],
        "datetime": datetime.now(UTC).isoformat(),
        "version": engine_version,
        "gradrace": {
            "schema": schema.SCHEMA,
            "version": version(),
            "settings": _as_written(settings),
            "fingerprints": fingerprints(settings.backends),
            "backends": backend_facts(settings.backends),
            "problems": 0,
            "interrupted": False,
            "roofline": None,
            "arms": [],
            "sessions": [],
            "compile": [],
            "trials": [],
            "left_out": [],
            "verdicts": [],
            "cases": [],
            "warnings": [],
        },
    }


def _as_written(settings: Settings) -> schema.Settings:
    cases = [{**asdict(case), "name": case.name} for case in settings.cases]
    return cast(schema.Settings, {**vars(settings), "cases": cases})  # has the same names


def settings_of(content: schema.Settings) -> Settings:
    """Return the settings in a file."""
    cases = [
        Case(case["n"], case["d"], case["lr"], case["epochs"], case.get("chosen", False))
        for case in content["cases"]
    ]
    return Settings(
        kind=content["kind"],
        backends=tuple(content["backends"]),
        cases=tuple(cases),
        baseline=content["baseline"],
        sessions=content["sessions"],
        repetitions=content["repetitions"],
        budget=content["budget"],
        longest=content["longest"],
        spacing=content["spacing"],
        threads=content["threads"],
        seed=content["seed"],
        limit=content["limit"],
    )


def backend_facts(specs: Sequence[str]) -> dict[str, schema.BackendFacts]:
    """Return what is special about each backend, as far as known before it is imported."""
    colors, found = backends.colors(specs), {}
    for spec in specs:
        rung = backends.rung(spec)
        found[spec] = schema.BackendFacts(
            color=colors[spec],
            one_core=rung.one_core,
            passes_once=rung.passes_once,
            on_one_thread=rung.on_one_thread,
        )
        if past := backends.past(spec):
            found[spec]["commit"] = past.commit
    for spec, today in backends.earlier(specs).items():
        found[spec]["version_of"] = today
    return found


def fingerprints(specs: Sequence[str]) -> dict[str, str]:
    """Return what each backend is: a hash of its source, and the version of its library.

    The source includes what the file imports from others beside it.

    Raises:
        InputValueError, OSError: as `backends.past`.

    """
    found = {}
    for spec in specs:
        texts = [path.read_bytes() for path in backends.sources(spec)]
        source = hashlib.sha256(b"\0".join(texts)).hexdigest() if texts else ""
        name = backends.name_of(spec)
        version = backends.package_version(name) if name in backends.LADDER else None
        found[spec] = " ".join(part for part in (version, source) if part)
    return found
