"""The commands: their names, their texts, and which options they take."""

from dataclasses import replace

from gradrace.bench import options
from gradrace.bench.cli.parser import Command, File
from gradrace.bench.options import Option, anything, flag, one_of, share, text

OUT = Option("out", text, "Where to save.", "DIR")
DETAILS = Option("details", flag, "Add all that is known.", default=False)
FAIL_ABOVE = Option(
    "fail_above",
    anything,
    "Exit with status 1 if a backend is shown to be slower than its earlier version by more than "
    "this: 2% for all sizes, 1e5x1=5% for one.",
    "SHARE|NxD=SHARE …",
    several=True,
)
FORMAT = Option("format", one_of("text", "md"), "Text for the terminal, or Markdown.", "text|md")

_RESULT = "The result file of a race, finished or not, or its folder."
_TABLE = File(
    "file",
    "FILE|FOLDER|PATTERN",
    f"{options.TABLE}  [default: {options.REFERENCE}]",
    required=False,
)
_HOW_IT_IS_READ = (*options.COLUMNS, options.DROP_MISSING, *options.READING)


ABOUT = "One gradient-descent loop in Python, NumPy and Numba: proved equal, then timed."


def _of(names: str, known: tuple[Option, ...]) -> tuple[Option, ...]:
    """Return the options of these names."""
    by_name = {option.name: option for option in known}
    return tuple(by_name[name] for name in names.split())


COMMANDS = (
    Command(
        "train",
        "learning",
        """Train on your table, show the progress, and save the model.

        Writes model.json, fit.parquet, history.parquet, pictures of the loss, the fit and the
        residuals, and report.html. If the loss diverges, no model is saved and the exit status is
        1.

        A table that is read in parts is read once. What the parts contribute is kept in the folder
        `sums`, for --resume.
        """,
        (_TABLE,),
        {
            "Training": _of("backend lr epochs standardize tol", options.FIT),
            "The table": (*_HOW_IT_IS_READ, options.SCHEDULER),
            "Output": (
                Option(
                    "resume",
                    flag,
                    "For a table that is read in parts: use the parts that an interrupted run, or "
                    "an earlier one on the same table, has read.",
                    default=False,
                ),
                replace(DETAILS, help="Add the milestones of the training."),
                replace(OUT, default="results/train"),
            ),
        },
    ),
    Command(
        "rates",
        "learning",
        """Show what learning rates do, and which one to use.

        What each rate does is predicted from the curvature of the loss, then run, and verified
        against the exact trajectory. Writes rates.json, history.parquet, path.parquet, path.png,
        loss.png and report.html. The exit status is 1 if a run disagrees with the exact trajectory;
        even a diverging run can agree.
        """,
        (_TABLE,),
        {
            "Training": _of("lr epochs standardize backends timeout", options.RATES),
            "The table": (*_HOW_IT_IS_READ, options.SCHEDULER),
            "Output": (
                Option(
                    "animate",
                    flag,
                    "Also write samples.parquet, and descent.gif, which shows the fit and its path "
                    "epoch by epoch.",
                    default=False,
                ),
                replace(DETAILS, help="Add all figures of every run."),
                replace(OUT, default="results/rates"),
            ),
        },
    ),
    Command(
        "predict",
        "learning",
        """Predict the target for every row of a table.

        The table needs the columns that the model was trained on, in the same units, even if it was
        trained with --standardize. It is read in parts, so it may be larger than memory.
        """,
        (
            File("model", "MODEL.json", "The model that `train` wrote."),
            File(
                "file",
                "FILE|FOLDER|PATTERN",
                f"{options.TABLE}  Columns are matched by name.",
            ),
        ),
        {
            "Output": (
                replace(
                    OUT,
                    help="Where to save the predictions, .csv or .parquet; for a folder or a "
                    "pattern, a folder, which gets a file for each file.",
                    metavar="FILE|FOLDER",
                    usual="print them as CSV",
                ),
            ),
            "The table": (*options.READING, options.SCHEDULER),
        },
    ),
    Command(
        "run",
        "racing",
        """Race the backends, and draw the results.

        First checks that every backend computes the exact trajectory: w, b and the loss after every
        epoch. Then times those that do, in several fresh processes that alternate between short
        blocks of each. Unless named, `dask` is left out, and, with one thread, `numba-parallel`,
        which then equals `numba-simd`.

        Writes benchmark.json, agreement.png, speed.png, speedup.png, breakeven.png, roofline.png
        and report.html. An earlier benchmark.json is kept as benchmark.previous.json; `gradrace
        compare` compares the two.

        With --against main, races only the backends that have changed since the git revision main,
        each against its earlier version, and says how much slower or faster it has become.
        NAME@REV, such as numba@main or mine.py@v1.2, names one earlier version. With earlier
        versions, the default is 10 sessions.

        The exit status is 1 if a backend disagrees with the exact trajectory, is impossibly fast
        for this machine or slower than --fail-above allows, or if a session fails.
        """,
        (),
        {
            "What is raced": (
                Option(
                    "quick",
                    flag,
                    "4 sizes, 3 sessions, about 90 seconds.  [default]",
                    default=False,
                ),
                *_of("full sizes features cases epochs backends baseline peers", options.RACE),
            ),
            "Versions": (*_of("against", options.RACE), FAIL_ABOVE),
            "How it is timed": _of("sessions threads seed", options.RACE),
            "Output": (
                Option("resume", text, "Complete the result file of an interrupted run.", "FILE"),
                replace(
                    OUT,
                    help="Folder for the results.",
                    usual="results, with --against results/against",
                ),
            ),
        },
    ),
    Command(
        "scale",
        "racing",
        """Show how the time grows with samples, features and threads.

        Races n = 1 to 10⁷ samples of one feature, and d = 1 to 1,000 features with n·d = 10⁶, with
        one thread up to one per core. Takes about five minutes on two cores. Writes a result file
        for each number of threads (scale-1.json, scale-2.json, …) and scale.png.

        The exit status is 1 if a backend disagrees or a session fails.
        """,
        (),
        {
            "How it is timed": options.SCALE,
            "Output": (replace(OUT, help="Folder for the results.", default="results"),),
        },
    ),
    Command(
        "show",
        "results",
        """Print the result of a saved race.

        Prints the same summary as `gradrace run`. The CSV always has all figures, and its column
        names include the units.
        """,
        (
            File(
                "file", "FILE.json", f"{_RESULT}  [default: the newest in results]", required=False
            ),
        ),
        {
            "Options": (
                replace(DETAILS, help="Add intervals, limits, compile times and memory."),
                replace(
                    FORMAT,
                    check=one_of("text", "md", "csv"),
                    help="Text for the terminal, Markdown, or CSV with one row per size and "
                    "backend.",
                    metavar="text|md|csv",
                    default="text",
                ),
                FAIL_ABOVE,
            )
        },
    ),
    Command(
        "compare",
        "results",
        """Compare two runs: what became faster or slower.

        A difference counts if its 95 % interval excludes 1 and it exceeds both 5 % and the noise of
        the two runs. Also reports differences in the machine and in versions.
        """,
        (
            File("old", "OLD.json", "The result file of the earlier run, or its folder."),
            File("new", "NEW.json", "The result file of the later run, or its folder."),
        ),
        {
            "Options": (
                Option(
                    "fail_above",
                    share,
                    "Exit with status 1 if anything is slower by more than this, such as 10%.",
                    "SHARE",
                ),
                replace(FORMAT, default="text"),
            )
        },
    ),
    Command(
        "plot",
        "results",
        """Draw the pictures of a race again from its saved files.

        speed.png shows the time per epoch against n; speedup.png, the speed-ups with their
        intervals; breakeven.png, after how many training runs compiling pays off; and roofline.png,
        how close each backend comes to the limit of the machine. If agreement.parquet is in the
        same folder, agreement.png shows the errors of each backend.
        """,
        (File("file", "FILE.json", _RESULT),),
        {
            "Options": (
                replace(
                    OUT,
                    help="Folder for the pictures, or one PDF for all.",
                    metavar="DIR|FILE.pdf",
                    usual="the folder of the file",
                ),
                replace(
                    FORMAT,
                    check=one_of("png", "svg", "pdf"),
                    help="The kind of the pictures.",
                    metavar="png|svg|pdf",
                    default="png",
                ),
            )
        },
    ),
    Command(
        "advise",
        "results",
        """Say which backend to use for a job, and how long it will take.

        Estimates the time of your job from the sizes that the race measured. Warns if your size is
        outside their range, and gives no answer if it is more than ten times beyond it.

        With --measure, races your job instead, in three sessions, and saves the result in
        results/measured. --backends chooses what to race.

        If your samples do not fit in memory, says how long it takes to read them once, in parts.
        """,
        (
            File(
                "file",
                "FILE.json",
                "The result file of a race on this machine.  [default: the newest in results]",
                required=False,
            ),
        ),
        {
            "The job": options.JOB,
            "Options": _of("measure backends", options.ADVISE),
        },
    ),
    Command(
        "report",
        "results",
        """Write a result as one page of HTML to share.

        The page is self-contained. It has the answer in words, sortable tables, the pictures, and
        sliders for your own number of epochs and runs, or your own learning rate.
        """,
        (
            File(
                "source",
                "FILE.json|FOLDER",
                "The folder that run, scale, train or rates wrote, or a result file of a race.  "
                "[default: the newest result in results]",
                required=False,
            ),
        ),
        {
            "Options": (
                replace(
                    OUT, help="Where to write the page.", metavar="FILE.html", default="report.html"
                ),
            )
        },
    ),
    Command(
        "check",
        "racing",
        """Prove that backends compute the exact trajectory.

        Trains with each backend, and compares w, b and the loss after every epoch with their exact
        values. The table shows the largest error of each, as a share of the largest error that
        rounding can cause. Each backend must also solve small problems made to expose mistakes.
        --case also checks larger sizes, where other mistakes may show.

        A table that takes more than half of the free memory is read in parts: once to sum it
        without rounding, and once more by the backend that is checked.

        The exit status is 1 if a backend disagrees.
        """,
        (),
        {
            "What is checked": (
                *_of("backends cases", options.CHECK),
                Option(
                    "data",
                    text,
                    options.TABLE,
                    "FILE|FOLDER|PATTERN",
                    usual=options.REFERENCE,
                ),
                *_of("lr epochs timeout", options.CHECK),
            ),
            "The table": (*_HOW_IT_IS_READ, options.SCHEDULER),
            "Output": (Option("json", text, "Also write the verdicts to this JSON file.", "FILE"),),
        },
    ),
    Command(
        "backends", "results", """List the backends, and how to install what is missing.""", (), {}
    ),
)
