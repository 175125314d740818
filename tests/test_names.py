"""What `import gradrace` and `import bench` offer, and what that costs."""

import inspect
import subprocess
import sys

import pytest

import bench


@pytest.mark.parametrize("name", bench.__all__)
def test_every_name_is_there_and_explained(name: str) -> None:
    assert inspect.getdoc(getattr(bench, name))


def test_gradrace_offers_the_same_names_without_importing_numpy() -> None:
    code = (
        "import sys, gradrace, bench; assert 'numpy' not in sys.modules; "
        "assert gradrace.__all__ == bench.__all__; "
        "assert all(getattr(gradrace, n) is bench.__getattr__(n) for n in bench.__all__); "
        "assert callable(gradrace.race)"  # bench.race is also a folder
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="gradrace has no 'nonsense'; it has BackendError"):
        bench.nonsense  # noqa: B018 (asking is the test)
