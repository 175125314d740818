"""A figure as SVG for a page: text stays text, and points tell their values."""

import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from plots.canvas import own_settings

if TYPE_CHECKING:
    from matplotlib.artist import Artist

    from plots.canvas import Figure

_SVG, _LINKS = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_TELLS = "tells"


def tell(artist: "Artist", texts: Sequence[str]) -> None:
    """Give each point of a line a text that a page shows where a mouse points at it."""
    artist.set_gid(_TELLS + json.dumps(list(texts)))


def svg(figure: "Figure", words: str) -> str:
    """Return a figure as an SVG element; `words` say what it shows, for those who cannot see it."""
    import matplotlib

    buffer = io.BytesIO()
    with own_settings(), matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": words}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _LINKS)
    root = ElementTree.fromstring(buffer.getvalue())
    width, height = (root.attrib.pop(name).removesuffix("pt") for name in ("width", "height"))
    root.set("viewBox", f"0 0 {width} {height}")
    root.set("style", f"max-width:{float(width) * 4 / 3:.0f}px")
    root.set("role", "img")
    root.set("aria-label", words)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for group in root.iter(f"{{{_SVG}}}g"):
        identity = group.attrib.pop("id", "")  # several pictures share a page
        if identity.startswith(_TELLS):
            texts = json.loads(identity.removeprefix(_TELLS))
            for point, text in zip(group.iter(f"{{{_SVG}}}use"), texts, strict=False):
                ElementTree.SubElement(point, f"{{{_SVG}}}title").text = text
    return ElementTree.tostring(root, encoding="unicode")
