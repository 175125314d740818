"""The page of whatever was saved: a race, a study of sizes, a training run, a study of rates."""

from pathlib import Path

from gradrace.backends.interface import InputValueError
from gradrace.bench.learning.model import MODEL
from gradrace.bench.learning.rates_files import RATES
from gradrace.bench.race import results
from gradrace.bench.report.page import PAGE
from gradrace.bench.report.race_page import race_page, scale_page

_SCALE = "scale-*.json"


def saved_page(source: Path) -> str:
    """Return the page of a result file of a race, or of the results in a folder.

    That of a race or of a study of sizes is made from its result files; `gradrace train` and
    `gradrace rates` have written theirs into the folder.

    Raises:
        InputValueError: the path has no result, or a damaged one.
        OSError: it cannot be read.

    """
    if not source.exists():
        raise InputValueError(f"{source}: no such file or folder")
    file = source / results.RESULT if source.is_dir() else source
    if file.exists():
        if file.name in (MODEL, RATES):
            raise InputValueError(f"{file}: is not the result of a race; give its folder")
        return race_page(results.read(file), file)
    scales = [(results.read(path), path) for path in source.glob(_SCALE)]
    if scales:
        scales.sort(key=lambda one: one[0]["gradrace"]["settings"]["threads"])
        return scale_page([content for content, _ in scales], [path for _, path in scales])
    if not (source / PAGE).exists():
        below = ", ".join(str(page.parent) for page in sorted(source.glob(f"*/{PAGE}")))
        raise InputValueError(
            f"{source}: has no {results.RESULT}, nor the {PAGE} of gradrace train or gradrace rates"
            + f"; there is one in {below}" * bool(below)
        )
    return (source / PAGE).read_text(encoding="utf-8")
