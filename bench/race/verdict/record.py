"""The result file at the start of a race, and what a saved one says about its backends."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from gradrace import backends
from gradrace.bench.data.origin import version
from gradrace.bench.machine import facts
from gradrace.bench.race.settings import Settings
from gradrace.bench.race.verdict.result import SCHEMA, About, BackendFacts, ResultFile


def new_content(settings: Settings) -> ResultFile:
    """Return a result file without results; the settings must be `resolved`."""
    from pytest_benchmark import __version__ as engine_version  # reading a file needs neither
    from pytest_benchmark.plugin import get_commit_info

    return ResultFile(
        machine_info=facts.machine_info(),
        commit_info=get_commit_info(),
        datetime=datetime.now(UTC).isoformat(),
        version=engine_version,
        gradrace=About(
            schema=SCHEMA,
            version=version(),
            settings=settings,
            fingerprints=fingerprints(settings.backends),
            backends=backend_facts(settings.backends),
        ),
    )


def backend_facts(specs: Sequence[str]) -> dict[str, BackendFacts]:
    """Return what is special about each backend, as far as known before it is imported."""
    colors, found = backends.colors(specs), {}
    for spec in specs:
        rung = backends.rung(spec)
        found[spec] = BackendFacts(
            color=colors[spec],
            one_core=rung.one_core,
            passes_once=rung.passes_once,
            on_one_thread=rung.on_one_thread,
        )
        if past := backends.past(spec):
            found[spec].commit = past.commit
    for spec, today in backends.earlier(specs).items():
        found[spec].version_of = today
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
