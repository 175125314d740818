"""What is said to a caller from Python: of arguments, where the command line has options."""

import re
import shlex
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_FLAGS = re.compile(r"--(no-)?(drop-missing|standardize|header)\b")
_VALUE = r"(?!and |or |with )('(?:[^']|'\"'\"')*'|,|[^\s;:)]*[^\s;:),])"
_VALUES = re.compile(rf"--(lr|encoding|decimal|backend|thousands|exclude) {_VALUE}")
_SEVERAL = re.compile(rf"--exclude {_VALUE}(?: --exclude {_VALUE})+")
_NUMBERS = re.compile(r"--skip-rows (\d+)")
_NAMES = re.compile(r"(?<![\w./-])--([a-z][a-z-]*)")


def arguments(text: str) -> str:
    """Return a text about options as one about arguments: standardize=True, not --standardize."""
    text = _FLAGS.sub(lambda found: f"{found[2].replace('-', '_')}={not found[1]}", text)
    text = _NUMBERS.sub(r"skip_rows=\1", text)
    text = _SEVERAL.sub(lambda found: f"exclude={shlex.split(found[0])[1::2]}", text)
    text = _VALUES.sub(lambda found: f"{found[1]}={_literal(shlex.split(found[2])[0])}", text)
    text = re.sub(r"(?<=['\"]) (?=decimal=)", ", ", text)
    return _NAMES.sub(lambda found: found[1].replace("-", "_"), text)


def _literal(text: str) -> str:
    return repr(text) if '"' in text else f'"{text}"'
