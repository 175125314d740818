"""Read a result file. Its layout is described in `schema.py`."""

import reprlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from gradrace.backends.interface import InputValueError
from gradrace.bench.data import reading
from gradrace.bench.machine import facts
from gradrace.bench.race.conclusions import conclude
from gradrace.bench.race.schema import SCHEMA, ResultFile
from gradrace.bench.race.validation import require_result
from gradrace.bench.race.versions import has_versions

RESULT = "benchmark.json"
"""What a race calls its result file."""


def read(path: Path) -> ResultFile:
    """Read a file that `gradrace run` wrote, or the one in a folder; conclude from its data again.

    Raises:
        InputValueError: it is not a result file, is cut off or damaged, or has another schema.
        OSError: it cannot be read.

    """
    if path.is_dir():
        if not (path / RESULT).exists():
            raise InputValueError(f"{path}: has no {RESULT}")
        path = path / RESULT
    content = reading.decoded(path)
    about = content.get("gradrace") if isinstance(content, dict) else None
    if not isinstance(about, dict) or "benchmarks" not in content:
        hint = " (a model; see gradrace predict)" if _is_model(content) else ""
        raise InputValueError(f"{path}: is not a result file of gradrace run{hint}")
    found = about.get("schema")
    if found != SCHEMA:
        age = "a newer" if isinstance(found, int) and found > SCHEMA else "an older"
        raise InputValueError(
            f"{path}: has {age} schema, {reprlib.repr(found)}; this version reads {SCHEMA}"
        )
    require_result(path, content)
    result: ResultFile = content
    conclude(result)
    return result


def of_this_machine(folder: Path) -> Iterator[Path]:
    """Yield the result files of this machine in a folder and below, the newest first.

    Files without times are left out, and so are comparisons of versions.
    """
    here = facts.machine_info()
    for path in sorted(folder.rglob("*.json"), key=_age):
        with suppress(InputValueError, OSError):
            content = read(path)
            same = all(content["machine_info"][key] == here[key] for key in ("cpu", "cores"))
            if same and content["benchmarks"] and not has_versions(content):
                yield path


def _age(path: Path) -> float:
    with suppress(OSError):  # it has just been removed
        return -path.stat().st_mtime
    return 0.0


def _is_model(content: Any) -> bool:
    return isinstance(content, dict) and str(content.get("format", "")).startswith("gradrace model")
