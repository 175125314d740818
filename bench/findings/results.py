"""Read a result file. Its layout is described in `schema.py`."""

import reprlib
from pathlib import Path
from typing import Any

from backends.interface import InputValueError
from bench.data import reading
from bench.findings.conclusions import conclude
from bench.findings.schema import SCHEMA, ResultFile, require_result


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


def _is_model(content: Any) -> bool:
    return isinstance(content, dict) and str(content.get("format", "")).startswith("gradrace model")
