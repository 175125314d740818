"""What all pictures share."""

from plots import style


def test_a_backend_has_one_color_everywhere() -> None:
    names = ["numba", "a.py", "python", "b.py", "a.py"]
    others = style.foreign(names)
    assert others == ["a.py", "b.py"]
    assert len({style.color(name, others) for name in names}) == 4
