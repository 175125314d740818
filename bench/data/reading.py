"""Read JSON that may be damaged, and say in one line what is wrong."""

import re
import stat
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gradrace.backends.interface import InputValueError

LARGEST_FILE = 256 * 2**20  # bytes

DEEPEST = 50  # nested lists and objects; deeper ones overflow Python's stack when written


def decoded(path: Path) -> Any:
    """Return the content of a JSON file, whatever it is.

    Raises:
        InputValueError: it is not JSON, is too large, or is nested too deeply.
        OSError: it cannot be read.

    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):  # a pipe or a device may never end
        raise InputValueError(f"{path}: is not a regular file")
    if about.st_size > LARGEST_FILE:
        raise InputValueError(f"{path}: is larger than {LARGEST_FILE // 2**20} MB")
    try:
        content = msgspec.json.decode(path.read_bytes())
    except RecursionError:
        raise InputValueError(f"{path}: is nested too deeply") from None
    except msgspec.ValidationError:
        raise InputValueError(f"{path}: holds a number beyond float64") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InputValueError(f"{path}: is not JSON, or cut off") from None
    if _deeper(content, DEEPEST):
        raise InputValueError(f"{path}: is nested too deeply")
    return content


def _deeper(content: Any, most: int) -> bool:
    """Whether lists and objects are nested in more than `most` levels."""
    level: list[Any] = [[content]]
    for _ in range(most + 1):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
    return bool(level)


Kind = TypeVar("Kind")


def converted(path: Path, content: Any, kind: type[Kind]) -> Kind:
    """Return `content` of the file at `path` as a `kind`.

    Raises:
        InputValueError: something is missing, has another type or is out of range.

    """
    try:
        return msgspec.convert(content, type=kind)
    except msgspec.ValidationError as error:  # says what and where
        reason = re.sub("^(Invalid enum value) .*(?= - at `)", r"\1", str(error))
        raise InputValueError(f"{path}: is damaged: {reason}") from None  # quotes nothing


def repeated(values: Sequence[Hashable]) -> list[Hashable]:
    """Return the values that occur more than once."""
    return [value for value, count in Counter(values).items() if count > 1]
