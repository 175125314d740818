"""What `import gradrace` offers, and what that costs."""

import inspect
import subprocess
import sys

import pytest

import gradrace


@pytest.mark.parametrize("name", gradrace.__all__)
def test_every_name_is_there_and_explained(name: str) -> None:
    assert inspect.getdoc(getattr(gradrace, name))


def test_names_are_imported_when_they_are_used() -> None:
    code = (
        "import sys, gradrace; assert {*gradrace.__all__, 'backends'} <= {*dir(gradrace)}; "
        "gradrace.backends.names(); gradrace.bench; assert 'numpy' not in sys.modules; "
        "gradrace.fit; assert 'numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="gradrace has no 'nonsense'; it has BackendError"):
        gradrace.nonsense  # noqa: B018 (asking is the test)
