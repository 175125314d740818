"""A figure as SVG: text stays text, and points show their values on hover."""

import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from gradrace.plots.canvas import own_settings

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.artist import Artist

    from gradrace.plots.canvas import Axes, Figure

_SVG, _LINKS = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_TELLS = "tells"
MOST_TOLD = 1_000
"""Points of a cloud; more would make a page large"""


def tell(artist: "Artist", texts: Sequence[str]) -> None:
    """Give each point of a line or a cloud, or an area, a text that is shown when hovering."""
    plain = [text.replace(r"\$", "$") for text in texts]  # of names that `label` has prepared
    artist.set_gid(_TELLS + json.dumps(plain))


def tell_along(axes: "Axes", x: "np.ndarray", y: "np.ndarray", texts: Sequence[str]) -> None:
    """Give places on a line without points a text that is shown when hovering."""
    (line,) = axes.plot(x, y, "o", ms=7, mfc=(0, 0, 0, 0), mec=(0, 0, 0, 0), label="_", zorder=9)
    tell(line, texts)


def svg(figure: "Figure", words: str) -> str:
    """Return a figure as an SVG element; `words` say what it shows, for those who cannot see it."""
    root = _tree(figure, salt=words, transparent=True)
    width, height = (root.attrib.pop(name).removesuffix("pt") for name in ("width", "height"))
    root.set("viewBox", f"0 0 {width} {height}")
    root.set("style", f"max-width:{float(width) * 4 / 3:.0f}px")
    root.set("role", "img")
    root.set("aria-label", words)
    return ElementTree.tostring(root, encoding="unicode")


def document(figure: "Figure") -> bytes:
    """Return a figure as the content of an SVG file."""
    return ElementTree.tostring(_tree(figure, facecolor="white"), xml_declaration=True)


def _tree(figure: "Figure", salt: str = "gradrace", **options: Any) -> ElementTree.Element:
    """Return a figure as the root of SVG, with what its points tell."""
    import matplotlib

    buffer = io.BytesIO()
    with own_settings(), matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, **options)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _LINKS)
    root = ElementTree.fromstring(buffer.getvalue())
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for group in root.iter(f"{{{_SVG}}}g"):
        identity = group.attrib.pop("id", "")  # several pictures share a page
        if identity.startswith(_TELLS):
            points = list(group.iter(f"{{{_SVG}}}use")) or [group]
            for point, text in zip(points, json.loads(identity.removeprefix(_TELLS)), strict=False):
                ElementTree.SubElement(point, f"{{{_SVG}}}title").text = text
    return root
