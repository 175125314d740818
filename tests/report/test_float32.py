"""A backend in float32 is marked wherever its time stands beside others; a sentence says why."""

from pathlib import Path
from types import ModuleType

import pytest
from gradrace.bench.race.exponents import exponents
from gradrace.bench.race.schema import ResultFile
from gradrace.bench.report.advice import advice_lines, advice_table
from gradrace.bench.report.comparison import comparison_report
from gradrace.bench.report.details import details
from gradrace.bench.report.formats import race_report
from gradrace.bench.report.scale import exponent_table
from gradrace.bench.report.summary import sentences
from gradrace.bench.report.summary_table import summary_tables
from matplotlib.text import Text
from rich.table import Table

from gradrace.bench.machine.roofline import limit
from gradrace.bench.race.advice import advise
from gradrace.bench.race.comparison import compare
from gradrace.bench.race.precision import trades
from gradrace.plots import breakeven, fastest, roofline, speed, speedup
from gradrace.plots.canvas import Figure
from tests.machine.test_roofline import MACHINE
from tests.runs import known, write_run

MARK = "half.py (float32)"
TIMES = {
    f"{n}x1": {
        "python": 4e-7 * n,
        "numba": 5e-9 * n,
        "gram": 2e-6,
        "half.py": (3e-9 - n * 5e-14) * n,
    }
    for n in (100, 1_000, 10_000)
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "half.py").touch()
    return tmp_path / "run.json"


@pytest.fixture
def content(path: Path, monkeypatch: pytest.MonkeyPatch) -> ResultFile:
    monkeypatch.chdir(path.parent)
    return write_run(
        path,
        TIMES,
        spread=1e-4,
        float32=["half.py"],
        once=["gram"],
        roofline=MACHINE,
        compiled=[
            {"backend": name, "load": 0.1, "cold": 1, "cached": 0.1} for name in ("half.py",)
        ],
    )


def texts(table: Table) -> list[str]:
    """Return all headings and cells of a table."""
    return [str(text) for column in table.columns for text in (column.header, *column.cells)]


def assert_marked(parts: list[str | Table]) -> None:
    found = [text for part in parts if isinstance(part, Table) for text in texts(part)]
    assert any(MARK in text for text in found)
    assert not [text for text in found if "half.py" in text.replace(MARK, "")]


def test_the_answer_says_what_it_keeps_and_what_that_buys(content: ResultFile) -> None:
    assert sentences(content)[1] == (
        "half.py computes in float32. It keeps 4.9 digits in w and b, and 6.3 in the loss on the "
        "reference line. It is 1.67 times (100 × 1) to 2 times (10,000 × 1) as fast as numba."
    )


def test_it_is_compared_with_its_own_kind(content: ResultFile) -> None:
    (trade,) = trades(content)
    assert {gain.rival for gain in trade.gains} == {"numba"}  # gram reads the samples only once
    content["gradrace"]["backends"]["half.py"]["passes_once"] = True
    for case in content["gradrace"]["cases"]:
        for row in case["arms"]:
            row["passes_once"] = row["backend"] in ("gram", "half.py")
    (trade,) = trades(content)
    assert {gain.rival for gain in trade.gains} == {"gram"}


def test_a_wrong_one_is_not_praised(content: ResultFile) -> None:
    content["gradrace"]["left_out"].append(
        {"case": "every case", "backend": "half.py", "reason": "is wrong", "fault": True}
    )
    assert trades(content) == []


def test_a_winner_is_marked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    content = write_run(path, {"100x1": {"numba": 1e-7, "half.py": 5e-8}}, float32=["half.py"])
    assert sentences(content)[0].startswith(f"{MARK} is the fastest at 100 × 1")


def test_every_table(content: ResultFile, path: Path) -> None:
    tables = [part for part in details(content) if isinstance(part, Table)]
    assert len(tables) == 4
    for table in (*summary_tables(content, 80), *tables):
        assert_marked([table])
    assert_marked([exponent_table(exponents(content), content["gradrace"])])
    assert_marked([*comparison_report(compare(path, path))])
    advice = advise(path, n=200, d=1, epochs=10**9)
    assert_marked([advice_table(advice)])
    assert MARK in " ".join(advice_lines(advice))


def test_for_programs(content: ResultFile) -> None:
    rows = [str(line).split(",") for line in race_report(content, "csv")]
    found = {row[2]: row[3] for row in rows[1:]}
    assert rows[0][3] == "precision"
    assert found == {**dict.fromkeys(["python", "numba", "gram"], "float64"), "half.py": "float32"}
    assert f"| {MARK} |" in "\n".join(map(str, race_report(content, "md")))


@pytest.mark.parametrize("plot", [breakeven, fastest, roofline, speed, speedup])
@pytest.mark.usefixtures("content")
def test_every_picture(plot: ModuleType, path: Path) -> None:
    figure: Figure = plot.figure(path)
    words = [text.get_text() for text in figure.findobj(Text)]
    words += [str(line.get_label()) for axes in figure.axes for line in axes.lines]
    assert any(MARK in text for text in words)


def test_its_limit_is_to_read_half_the_bytes(content: ResultFile) -> None:
    for case in content["gradrace"]["cases"]:
        for row, number in zip(case["arms"], (8, 8, 8, 4), strict=True):
            job = (case["n"], case["d"], row["epochs"], 1)
            least = limit(MACHINE, *job, once=row["passes_once"], number=number)
            assert least is not None
            assert known(row["limit"])["seconds"] == least["seconds"]
