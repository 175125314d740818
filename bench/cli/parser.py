"""Read the words of a command, and write its help.

Options may take several words, so the files of a command come first.
"""

import argparse
import re
import shlex
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from gradrace.bench.options import Option, anything, flag

_LEFT, _MOST = 24, 80  # columns of a help text


@dataclass(frozen=True)
class File:
    """A file that a command takes, by its place."""

    name: str
    """Of the parameter of the command's function"""
    metavar: str
    help: str
    required: bool = True


@dataclass(frozen=True)
class Command:
    """A command: its name, what it takes, and the module with the function that runs it."""

    name: str
    module: str
    text: str
    """The first line is the summary"""
    files: tuple[File, ...] = ()
    options: Mapping[str, Sequence[Option]] | None = None
    """Under headings"""

    @property
    def summary(self) -> str:
        """What it does, in a line."""
        return self.text.splitlines()[0]

    @property
    def every(self) -> list[Option]:
        """All options."""
        return [option for group in (self.options or {}).values() for option in group]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise unusable(re.sub(r"^argument (--?[\w-]+)(/--?[\w-]+)*: (.*)", _reworded, message))


def _reworded(found: "re.Match[str]") -> str:
    said = "takes no value" if found[3].startswith("ignored") else "needs a value"
    return f"{found[1]}: {said}"


def unusable(*pieces: Any) -> Exception:
    """Return the error of what cannot be used."""
    from gradrace.backends.interface import InputValueError

    return InputValueError(*pieces)


def arguments_of(command: Command, words: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of the command's function that these words give.

    Raises:
        InputTypeError, InputValueError: a word cannot be used.

    """
    parser = _Parser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*", default=[])
    for option in command.every:
        parser.add_argument(*names_of(option), dest=option.name, **_taking(option))
    known, others = parser.parse_known_args(words)
    found = vars(known)
    for word in others:
        if word.startswith("-") and word != "-":
            raise unusable(f"{word.partition('=')[0]}: no such option; ", *_help_of(command))
    files = [*found.pop("files"), *others]
    if len(files) > len(command.files):
        raise unusable(f"{files[-1]}: is one word too many; ", *_help_of(command))
    by_name = {option.name: option for option in command.every}
    for name in found:
        if by_name[name].several and len(files) < len(command.files):
            _refuse_file(command, by_name[name], found[name], words)
    given = {name: _value(by_name[name], value) for name, value in found.items()}
    for file, word in zip(command.files, files, strict=False):
        given[file.name] = word
    if missing := [file.metavar for file in command.files[len(files) :] if file.required]:
        raise unusable(f"{missing[0]} is missing; ", *_help_of(command))
    return given


def _help_of(command: Command) -> tuple[str]:
    return (f"gradrace {command.name} --help lists what it takes",)


def _taking(option: Option) -> dict[str, Any]:
    if option.check is flag:
        both = option.default is None
        return {"action": argparse.BooleanOptionalAction if both else "store_true"}
    return {"nargs": "+", "action": "extend"} if option.several else {}


def _value(option: Option, value: Any) -> Any:
    if option.check is flag:
        return value
    words = option.words(value if option.several else [value])
    return option.read(words if option.several else words[0])


def _refuse_file(
    command: Command, option: Option, given: Sequence[str], words: Sequence[str]
) -> None:
    """Say where a FILE belongs if an option has taken it for one of its values."""
    file = given[-1]
    if not Path(file).exists():
        return
    if option.check is not anything:
        try:
            option.read(option.words([file]))
            return
        except ValueError:
            pass
        except TypeError:
            pass
    rest = list(words)
    rest.remove(file)
    again = shlex.join(["gradrace", command.name, file, *rest])
    raise unusable(f"write {command.files[0].metavar.split('|')[0]} first: {again}")


def names_of(option: Option) -> list[str]:
    """Return how an option may be written."""
    names = [name for name in (option.name, option.alias) if name]
    short = {"out": ["-o"]}.get(option.name, [])
    return [f"--{name.replace('_', '-')}" for name in names] + short


def help_of(command: Command) -> str:
    """Return what `gradrace COMMAND --help` prints."""
    width = min(shutil.get_terminal_size().columns, _MOST)
    files = [f.metavar if f.required else f"[{f.metavar}]" for f in command.files]
    lines = [" ".join(["Usage: gradrace", command.name, *files, "[OPTIONS]"]), ""]
    for paragraph in command.text.split("\n\n"):
        lines += [*_wrapped(paragraph, width, "  "), ""]
    if command.files:
        rows = [(file.metavar, file.help) for file in command.files]
        lines += ["Files:", *_rows(rows, width), ""]
    for heading, options in (command.options or {}).items():
        rows = [(_written(option), _described(option)) for option in options]
        lines += [f"{heading}:", *_rows(rows, width), ""]
    return "\n".join(lines[:-1])


def summaries(commands: Sequence[Command], about: str) -> str:
    """Return what `gradrace --help` prints."""
    width = min(shutil.get_terminal_size().columns, _MOST)
    rows = [(command.name, command.summary) for command in commands]
    return "\n".join(
        [
            *["Usage: gradrace COMMAND [FILE …] [OPTIONS]", "", *_wrapped(about, width, "  "), ""],
            *["Commands:", *_rows(rows, width, 12), ""],
            "gradrace COMMAND --help explains its options; --version shows the version.",
        ]
    )


def _written(option: Option) -> str:
    names = ", ".join(names_of(option))
    if option.check is flag and option.default is None:
        return f"{names}, --no-{option.name}"
    return f"{names} {option.metavar}".rstrip()


def _described(option: Option) -> str:
    usual = option.usual
    if not usual and option.default and option.default is not True:
        usual = f"{option.default:,}" if isinstance(option.default, int) else str(option.default)
    return f"{option.help}  [default: {usual}]" if usual else option.help


def _rows(rows: Sequence[tuple[str, str]], width: int, left: int = _LEFT) -> Iterator[str]:
    for name, text in rows:
        first, *more = textwrap.wrap(
            text, width - left, break_long_words=False, break_on_hyphens=False
        )
        if len(name) > left - 4:
            yield f"  {name}"
            more = [first, *more]
        else:
            yield f"  {name:<{left - 2}}{first}"
        yield from (" " * left + line for line in more)


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    text = " ".join(text.split())
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
