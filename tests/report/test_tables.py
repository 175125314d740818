"""Tables fit the terminal, and no number or name is broken."""

import pytest
from rich.table import Table

from gradrace.bench.report.tables import empty_table, least_width, stacked
from gradrace.bench.report.terminal import show


def some_table(columns: int) -> Table:
    table = empty_table(*(f"head {i}" for i in range(columns)))
    table.add_row(*(f"name {i}" for i in range(columns)))
    table.add_section()
    table.add_row(*("1,234.5 ms" for _ in range(columns)))
    return table


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_what_fits_is_one_table() -> None:
    table = some_table(5)
    assert stacked(table, least_width(table)) == [table]
    assert len(stacked(table, least_width(table) - 1)) == 2


def test_every_part_begins_with_the_first_column() -> None:
    parts = stacked(some_table(5), 30)
    assert [[str(column.header) for column in part.columns] for part in parts] == [
        ["head 0", "head 1"],
        ["head 0", "head 2"],
        ["head 0", "head 3"],
        ["head 0", "head 4"],
    ]
    assert [list(part.columns[0].cells) for part in parts] == [["name 0", "1,234.5 ms"]] * 4
    assert all(part.rows[0].end_section for part in parts)


@pytest.mark.parametrize("width", [5, 40, 79, 80, 200])
def test_no_cell_is_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    show(some_table(6))
    lines = lines_of(capsys)
    text = "\n".join(lines)
    assert text.count("1,234.5 ms") >= 6
    assert [text.count(f"name {i}") for i in range(1, 6)] == [1] * 5
    assert max(map(len, lines)) <= max(width, least_width(some_table(2)))
    assert not [line for line in lines if line.endswith(" ")]


def test_a_name_longer_than_a_line_does_not_push_out_its_values(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    table = empty_table("backend", "first", "second")
    table.add_row("x" * 90, "1.5 ms", "2.5 ms")
    show(table)
    text = capsys.readouterr().out
    assert [text.count(word) for word in ("x" * 90, "1.5 ms", "2.5 ms")] == [2, 1, 1]


def test_prose_in_a_table_wraps_between_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    table = empty_table("name", "idea", prose=("idea",))
    table.add_row("numba", "the same scalar loop as before, compiled")
    show(table)
    lines = lines_of(capsys)
    assert max(map(len, lines)) <= 30
    assert " ".join(lines[3:]).split() == [
        "numba",
        "the",
        "same",
        "scalar",
        "loop",
        "as",
        "before,",
        "compiled",
    ]


@pytest.mark.parametrize("width", [20, 60])
def test_prose_wraps_between_words_and_never_in_a_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = "gram is 64,400 times as fast at 100,000 × 1 " * 4 + "and /a/path/that-is-very-long.json"
    show(text)
    lines = lines_of(capsys)
    assert " ".join(lines) == text
    assert all(len(line) <= width or " " not in line for line in lines)
    assert sum(line.count("100,000 × 1") for line in lines) == 4


def test_without_a_terminal_a_line_has_80_characters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    show("word " * 100)
    assert max(map(len, lines_of(capsys))) in (79, 80)
