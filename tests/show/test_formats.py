"""Parts as text, Markdown and CSV: what fits, what is aligned, and that nothing is markup."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gradrace.backends.interface import InputValueError, Setting
from gradrace.bench.parts import (
    Answer,
    Bytes,
    Caution,
    Cell,
    Column,
    Command,
    Heading,
    Note,
    Number,
    Part,
    Ratio,
    Report,
    Sentence,
    Share,
    Table,
    Time,
)
from gradrace.bench.show import terminal
from gradrace.bench.show.html import in_notebook, page
from gradrace.bench.show.markdown import csv_of, markdown
from gradrace.bench.show.plain import plain
from gradrace.bench.show.text import as_option, visible, worded, written

CELLS: list[tuple[Cell, str]] = [
    (None, "–"),
    (Time(1.234e-3), "1.23 ms"),
    (Ratio(4.712), "4.71"),
    (Ratio(4.712, 4.65, 4.77), "4.71 (4.65–4.77)"),
    (Share(0.35), "35 %"),
    (Bytes(1_234_000_000), "1.23 GB"),
    (Number(1.23456, 3), "1.23"),
    (10_000, "10,000"),
    (1.23456789, "1.2346"),
    ("name", "name"),
    ((Time(2e-6), "3×"), "2.00 µs 3×"),
]


@pytest.mark.parametrize(("cell", "text"), CELLS, ids=[text for _, text in CELLS])
def test_a_cell_has_its_unit(cell: Cell, text: str) -> None:
    assert written(cell) == text


SETTINGS = [
    (Setting("drop_missing", True), "--drop-missing", "drop_missing=True"),
    (Setting("standardize", False), "--no-standardize", "standardize=False"),
    (Setting("encoding", "cp1252"), "--encoding cp1252", "encoding='cp1252'"),
    (Setting("columns", ["a b", "c"]), "--columns 'a b' c", "columns=['a b', 'c']"),
    (Setting("target"), "--target", "target"),
]


@pytest.mark.parametrize(("setting", "option", "argument"), SETTINGS)
def test_each_front_words_an_argument(setting: Setting, option: str, argument: str) -> None:
    error = InputValueError("houses.csv: row 2; ", setting, " helps")
    assert str(error) == f"houses.csv: row 2; {argument} helps"
    assert worded(error.args, as_option) == f"houses.csv: row 2; {option} helps"
    sentence = Sentence("see ", setting)
    assert plain([sentence]) == f"see {argument}\n"
    assert plain([sentence], word=as_option) == f"see {option}\n"


class TestText:
    def table(self, columns: int, name: str = "name") -> Table:
        heads = [Column(f"head {i}") for i in range(columns)]
        rows: list[list[Cell]] = [
            [f"{name} {i}" if i == 0 else Time(1.2345 * (i + 1)) for i in range(columns)]
        ]
        return Table(heads, rows)

    @pytest.mark.parametrize("width", [5, 40, 50, 80, 200])
    def test_no_cell_is_broken_and_every_part_has_the_names(self, width: int) -> None:
        text = plain([self.table(7, "a/long/name/of/a/backend.py")], width)
        times = [written(Time(1.2345 * (i + 1))) for i in range(1, 7)]
        assert [text.count(time) for time in times] == [1] * 6
        lines = text.splitlines()
        parts = sum(line.startswith("─") for line in lines)
        assert text.count("a/long/name/of/a/backend.py 0") == parts
        assert not [line for line in lines if line.endswith(" ")]
        if width >= 40:
            assert max(map(len, lines)) <= width

    def test_what_fits_is_one_table(self) -> None:
        assert plain([self.table(6)], 80).count("─\n") == 1

    def test_a_name_longer_than_a_line_does_not_push_out_its_values(self) -> None:
        table = Table([Column("backend"), Column("a"), Column("b")], [("x" * 90, 1.5, 2.5)])
        text = plain([table], 80)
        assert [text.count(word) for word in ("x" * 90, "1.5", "2.5")] == [2, 1, 1]

    def test_prose_in_a_table_wraps_between_words(self) -> None:
        columns = [Column("name"), Column("idea", kind="prose")]
        idea = "the same scalar loop as before, compiled"
        text = plain([Table(columns, [("numba", idea)])], 30)
        assert max(map(len, text.splitlines())) <= 30
        assert text.split()[-8:] == ["numba", *idea.split()]

    @pytest.mark.parametrize("width", [20, 60])
    def test_prose_wraps_between_words_and_never_in_a_number(self, width: int) -> None:
        text = "gram is 64,400 times as fast at 100,000 × 1 " * 4 + "and /a/path/that-is-long.json"
        lines = plain([Sentence(text)], width).splitlines()
        assert " ".join(lines) == text
        assert all(len(line) <= width or " " not in line for line in lines)
        assert sum(line.count("100,000 × 1") for line in lines) == 4

    def test_what_names_a_group_of_rows_is_not_repeated(self) -> None:
        columns = [Column("size"), Column("backend"), Column("time")]
        rows = [("1 × 1", "a", 1), ("1 × 1", "b", 2), ("2 × 2", "a", 3)]
        *_, first, second, third = plain([Table(columns, rows, keys=2)]).rstrip().splitlines()
        assert [line.split() for line in (first, second, third)] == [
            ["1", "×", "1", "a", "1"],
            ["b", "2"],
            ["2", "×", "2", "a", "3"],
        ]

    def test_never_two_blank_lines(self) -> None:
        parts: list[Part] = [
            Answer("a"),
            Heading(""),
            self.table(2),
            Heading(""),
            self.table(2),
            Note("b"),
        ]
        assert "\n\n\n" not in plain(parts)

    def test_a_warning_says_so(self) -> None:
        assert plain([Caution("the machine was busy")]) == "Warning: the machine was busy.\n"

    def test_without_a_terminal_a_line_has_80_characters(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("COLUMNS", raising=False)
        terminal.show(Sentence("word " * 100))
        assert max(map(len, capsys.readouterr().out.splitlines())) in (79, 80)

    def test_files_are_named_folder_by_folder(self, capsys: pytest.CaptureFixture[str]) -> None:
        terminal.show_saved([Path("a/x.json"), Path("b/y.png"), Path("a/z.png")])
        assert capsys.readouterr().out == "Saved in a: x.json, z.png.\nSaved in b: y.png.\n"


PARTS: list[Part] = [
    Answer("numba is the fastest."),
    Heading("How fast?"),
    Sentence("Time per epoch:"),
    Table([Column("backend"), Column("time")], [("numba", Time(1e-6))], note="one is missing"),
    Note("time: of an epoch"),
    Command("gradrace run"),
]


class TestMarkdown:
    def test_paragraphs_and_tables_are_apart(self) -> None:
        assert list(markdown(PARTS)) == [
            "numba is the fastest.",
            "",
            "Time per epoch:",
            "",
            "| backend | time |",
            "| --- | --- |",
            "| numba | 1.00 µs |",
            "",
            "one is missing",
            "",
            "time: of an epoch",
            "",
            "`gradrace run`",
        ]

    def test_a_command_may_hold_backticks(self) -> None:
        assert list(markdown([Command("train a`b``c.csv")])) == ["```train a`b``c.csv```"]
        assert list(markdown([Command("train `a`")])) == ["`` train `a` ``"]

    def test_values_beside_each_other_are_not_padded(self) -> None:
        rows = [((Time(1e-6), "1×"),), ((Time(2e-3), "1,000×"),)]
        *_, first, second = markdown([Table([Column("a")], rows)])
        assert (first, second) == ("| 1.00 µs 1× |", "| 2.00 ms 1,000× |")


class TestCsv:
    COLUMNS = (
        Column("for people"),
        Column(None, "n"),
        Column("ratio", "ratio", "interval"),
        Column("time", "seconds"),
    )

    def rows(self, *rows: list[Cell]) -> list[list[str]]:
        return list(csv.reader(io.StringIO(csv_of(Table(self.COLUMNS, rows)))))

    def test_programs_get_all_digits_and_their_own_names(self) -> None:
        assert self.rows(["x", 1000, Ratio(1 / 3, 0.3, 0.4), (Time(1.23456789e-9), "FMA")]) == [
            ["n", "ratio", "ratio_low", "ratio_high", "seconds"],
            ["1000", repr(1 / 3), "0.3", "0.4", "1.23456789e-09"],
        ]

    def test_what_is_not_known_is_empty(self) -> None:
        assert self.rows(["x", None, None, None])[1] == [""] * 5
        assert self.rows(["x", None, Ratio(2.0), None])[1] == ["", "2.0", "", "", ""]

    def test_cells_are_escaped(self) -> None:
        (_, (name, *_)) = self.rows(["x", 'a,"b"\n\x1b[31m.py', None, None])
        assert name == 'a,"b" ?[31m.py'


FOREIGN = [
    "count [/cm3]",
    "[bold]name[/bold]",
    "<script>alert(1)</script>",
    "</script><b>",
    "a|b*<i>`.py",
    "{{ 7 * 7 }}{% raw %}",
    "a & b &amp; c",
    "\x1b[31mred",
    "left\u202eright",
    "two\nlines\tof it",
]
RENDERED: dict[str, Callable[[list[Part]], str]] = {
    "text": lambda parts: plain(parts, 200),
    "Markdown": lambda parts: "\n".join(markdown(parts)),
    "page": lambda parts: page("title", parts),
    "notebook": in_notebook,
}


class TestForeignNames:
    """Names of columns and backends may hold anything; whatever shows them, they are text."""

    def parts(self, name: str) -> list[Part]:
        table = Table([Column(name), Column("value")], [(name, 1)], note=name)
        words = [Answer(name), Sentence(name), Note(name), Caution(name)]
        return [Heading("h"), *words, table, Command(name)]

    @pytest.mark.parametrize("name", FOREIGN)
    @pytest.mark.parametrize("where", RENDERED)
    def test_are_text(self, where: str, name: str) -> None:
        text = RENDERED[where](self.parts(name))
        for character in ("\x1b", "\u202e", "49"):
            assert character not in text.partition("<footer")[0].partition("<style>")[0]
        seen = visible(name)
        if where == "text":
            assert text.count(seen) == 8
        elif where == "Markdown":
            escaped = re.sub(r"[\\`*\[\]<>|]", r"\\\g<0>", seen)
            assert text.count(escaped) == 7 + (escaped == seen)
        else:
            assert "<b>" not in text
            assert "<script>alert(1)" not in text

    def test_a_title_too(self) -> None:
        text = page("<b>bold</b>", [Answer("a")])
        assert "<b>" not in text
        assert text.count("&lt;b&gt;bold") == 2

    @pytest.mark.parametrize("width", [30, 50])
    def test_keep_their_ends_on_a_narrow_terminal(self, width: int) -> None:
        names = [f"a/very/long/folder/of/backends/that/differ/in/their/ends_{i}.py" for i in (1, 2)]
        table = Table([Column("backend"), Column("time")], [(name, Time(1e-6)) for name in names])
        text = plain([table], width)
        assert all(name in text for name in names)


def test_results_show_themselves() -> None:
    report = Report(PARTS)
    assert str(report) == repr(report) == plain(PARTS).rstrip("\n")
    assert report._repr_html_() == in_notebook(PARTS)
    assert "<table" in report._repr_html_()
