"""What `fit`, `rates` and `check` take: arrays, tables, and whatever is a table in a file."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from gradrace import backends
from gradrace.backends.interface import InputTypeError, InputValueError, Setting
from gradrace.bench import options
from gradrace.bench.data.frames import samples_of
from gradrace.bench.data.samples import Dataset, Samples, reference_line
from gradrace.bench.data.sources import PLAIN, Reading

Source = Any
"""An array (n, d); a table of pandas, Polars or pyarrow; a Dataset; a path; or None, which is the
reference line."""

MOST_FEATURES = 2_000  # the curvature takes O(d³): seconds up to there, an hour for 20,000
_OF_A_FILE = (*options.READING, options.DROP_MISSING)


class ReadingOptions(TypedDict, total=False):
    """How a table is read, as far as the file itself does not say; explained at `fit`."""

    drop_missing: bool
    decimal: str
    thousands: str
    delimiter: str
    header: bool | None
    skip_rows: int
    encoding: str


def reading_of(given: ReadingOptions) -> Reading:
    """Return how a table is read.

    Raises:
        InputTypeError, InputValueError: an argument is unknown, or not what it must be.

    """
    return Reading(**options.read(_OF_A_FILE, given)).checked()


class Table:
    """Where the samples of a call come from, and which of its columns are used."""

    def __init__(
        self,
        source: Source,
        y: Any,
        target: Any,
        features: Any,
        exclude: Any,
        scheduler: str | None,
        reading: ReadingOptions,
    ) -> None:
        """Check the arguments; nothing is read yet.

        Raises:
            InputTypeError, InputValueError: one cannot be used.

        """
        self.source, self.y, self.target = source, y, target
        self.features = options.listed("features", features)
        self.exclude = options.listed("exclude", exclude)
        self.reading, self.scheduler = reading_of(reading), scheduler

    def samples(
        self,
        specs: Sequence[str],
        add_up: Callable[[Any], Samples],
        on_note: Callable[..., None],
    ) -> tuple[Samples, list[str]]:
        """Return the samples, and the backends to use for them: `specs`, if there are any.

        Without them, [] if the samples are in memory, and the backend that reads in parts if they
        do not fit there. `add_up` makes the pass over those in parts.

        Raises:
            InputTypeError, InputValueError: as `frames.samples_of` and `reader.open_samples`; or
                the named backends cannot use a scheduler.
            OSError: a file cannot be read.

        """
        if not isinstance(self.source, str | Path):
            return self._in_memory(), list(specs)
        if self.y is not None:
            raise InputTypeError("y: cannot be given with a file; target names one of its columns")
        if not str(self.source).strip():
            raise InputValueError("X: needs the name of a file, got an empty string")
        from gradrace.bench.data.reader import Files, open_samples, too_large

        large, named = backends.for_large_data(), list(specs)
        if self.scheduler and named not in ([], [large]):
            needs = (": needs ", Setting("backend", large), f", got {', '.join(named)}")
            raise InputValueError(Setting("scheduler"), *needs)
        if self.scheduler:
            os.environ[backends.SCHEDULER] = options.text("scheduler", self.scheduler)
        in_parts = named == [large] if named else (True if self.scheduler else None)
        columns, left = list(map(str, self.features)), list(map(str, self.exclude))
        target = None if self.target is None else str(self.target)
        found = open_samples(
            self.source, target, columns, left, in_parts=in_parts, reading=self.reading
        )
        if (d := len(found.features)) > MOST_FEATURES:
            said = f"{found.name}: has {d:,} features; the limit is {MOST_FEATURES:,}; choose some "
            raise InputValueError(said, "with ", Setting("features"))
        if isinstance(found, Files):
            if in_parts is None:
                on_note(f"{too_large(found.table, found.use)}; {large} reads them in parts")
            return add_up(found), named or [large]
        if self.scheduler:
            raise InputValueError(Setting("scheduler"), f": {found.name} is not read in parts")
        return found, named

    def _in_memory(self) -> Dataset:
        if self.scheduler:
            raise InputValueError(Setting("scheduler"), ": needs a table in files")
        if self.source is None or isinstance(self.source, Dataset):
            if self.target is not None or self.features or self.exclude:
                names = Setting("target"), ", ", Setting("features"), " and ", Setting("exclude")
                raise InputValueError(*names, ": need a table")
            self._require_plain(self.reading, "needs a table")
            return reference_line() if self.source is None else self.source
        self._require_plain(
            self.reading._replace(drop_missing=False), "applies only to files, but X is in memory"
        )
        y, target, reading = self.y, self.target, self.reading
        return samples_of(self.source, y, target, self.features, self.exclude, reading)

    def _require_plain(self, reading: Reading, said: str) -> None:
        for name, value in reading._asdict().items():
            if value != getattr(PLAIN, name):
                raise InputValueError(Setting(name), f": {said}")


def read_table(
    path: str | Path,
    target: Any = None,
    features: Sequence[Any] = (),
    *,
    exclude: Sequence[Any] = (),
    **reading: Unpack[ReadingOptions],
) -> Dataset:
    """Read a table of numbers into memory.

    `target` defaults to the last column, `features` to all others except those in `exclude`. The
    other arguments are those of `fit`.

    Raises:
        InputTypeError, InputValueError: an argument cannot be used, or the table cannot be read.

    """
    from gradrace.bench.data import reader

    names = [str(name) for name in options.listed("features", features)]
    left = [str(name) for name in options.listed("exclude", exclude)]
    column = None if target is None else str(target)
    return reader.read_table(path, column, names, exclude=left, reading=reading_of(reading))
