"""The result file of a race that begins, and what a saved one says of its backends."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from pytest_benchmark import __version__ as engine_version
from pytest_benchmark.plugin import get_commit_info

import backends
from bench.data.origin import version
from bench.findings import results
from bench.findings.results import Content
from bench.machine import facts
from bench.race.cases import Case
from bench.race.settings import Settings


def new_content(settings: Settings) -> Content:
    """Return a result file without results."""
    info = facts.machine_info()
    return {
        "machine_info": info,
        "commit_info": get_commit_info(),
        "benchmarks": [],
        "datetime": datetime.now(UTC).isoformat(),
        "version": engine_version,
        "gradrace": {
            "schema": results.SCHEMA,
            "version": version(),
            "settings": {
                **vars(settings),
                "cases": [{**asdict(case), "name": case.name} for case in settings.cases],
            },
            "fingerprints": fingerprints(settings.backends),
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


def settings_of(content: Content) -> Settings:
    """Return the settings that a file holds."""
    cases = tuple(
        Case(case["n"], case["d"], case["lr"], case["epochs"]) for case in content["cases"]
    )
    return Settings(**{**content, "backends": tuple(content["backends"]), "cases": cases})


def fingerprints(specs: Sequence[str]) -> dict[str, str]:
    """Return what each backend is: a hash of its source, and the version of its library."""
    found = {}
    for spec in specs:
        path = backends.source(spec)
        source = hashlib.sha256(path.read_bytes()).hexdigest() if path and path.is_file() else ""
        version = backends.package_version(spec) if spec in backends.LADDER else None
        found[spec] = " ".join(part for part in (version, source) if part)
    return found
