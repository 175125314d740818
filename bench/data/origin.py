"""Where a file comes from, for the footers of the pictures drawn from it."""

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version


def version() -> str:
    """Return the version of gradrace, or "not installed" if a clone is used in place."""
    try:
        return package_version("gradrace")
    except PackageNotFoundError:
        return "not installed"


def origin() -> dict[str, str]:
    """Return system, versions and date, in the form and order in which they are shown."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"Python {platform.python_version()}",
        "gradrace": f"gradrace {version()}",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }
