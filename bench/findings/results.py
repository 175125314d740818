"""Read a result file. Its layout is described in `schema.py`."""

import reprlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from backends.interface import InputValueError
from bench.data import reading
from bench.findings.conclusions import conclude
from bench.findings.schema import SCHEMA, ResultFile, require_result
from bench.machine import facts


def read(path: Path) -> ResultFile:
    """Read a file that `gradrace run` wrote; what follows from its data is computed again.

    Raises:
        InputValueError: it is not a result file, is cut off or damaged, or has another schema.
        OSError: it cannot be read.

    """
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


def newest(folder: Path) -> Path:
    """Return the newest result file of this machine, in a folder or below, that has timed anything.

    Comparisons of versions do not count.

    Raises:
        InputValueError: there is none.

    """
    here = facts.machine_info()
    paths = sorted(folder.rglob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in paths:
        with suppress(InputValueError, OSError):
            content = read(path)
            same = all(content["machine_info"][key] == here[key] for key in ("cpu", "cores"))
            versions = any("version_of" in f for f in content["gradrace"]["backends"].values())
            if same and content["benchmarks"] and not versions:
                return path
    raise InputValueError(f"{folder}: holds no result of a race on this machine")


def _is_model(content: Any) -> bool:
    return isinstance(content, dict) and str(content.get("format", "")).startswith("gradrace model")
