"""Elements that work without a kernel or a network: the files of `pages/`, filled in.

`pages/NAME.html` has $places; `NAME.css` calls its element `#element`; `NAME.js` is a function of
that element and of the data. What all of them share stands in `shared.css`.
"""

import base64
import hashlib
import html
import json
from importlib.resources import files
from string import Template
from typing import Any

import cv2
import numpy as np
from IPython.display import HTML


class Markup(str):
    """HTML that was made here and is not escaped again."""


def page(name: str, data: Any, **places: str | int) -> HTML:
    """Return the element `name`, its `data` (what JSON can hold) and its `places` filled in.

    Texts are escaped, also as attributes; `Markup` is not. The id comes from the content: the same
    data and places give the same element, and two elements that differ never share one. Raises
    ValueError for a place that is not filled, and for one that is not there.
    """
    folder = files("bradcn_nb.figures") / "pages"
    markup, css, script = (
        (folder / f"{name}.{end}").read_text("utf-8") for end in ("html", "css", "js")
    )
    template = Template(markup)
    known = set(template.get_identifiers()) - {"id"}
    if extra := set(places) - known:
        raise ValueError(f"{name}.html has no place for {', '.join(sorted(extra))}")
    if missing := known - set(places):
        raise ValueError(f"{name}.html needs {', '.join(sorted(missing))}")
    content = json.dumps(data, separators=(",", ":"))
    ident = f"{name}-{hashlib.sha256((content + json.dumps(places)).encode()).hexdigest()[:12]}"
    # In a script nothing may look like its end, or like the begin of a comment.
    content = content.replace("<", "\\u003c")
    filled = {
        key: value if isinstance(value, Markup) else html.escape(str(value), quote=True)
        for key, value in places.items()
    }
    style = ((folder / "shared.css").read_text("utf-8") + css).replace("#element", f"#{ident}")
    function = script.replace("export default ", "", 1).strip()
    return HTML(
        f"<style>\n{style}</style>\n{template.substitute(filled, id=ident)}<script>\n({function})"
        f'(document.getElementById("{ident}"), {content});\n</script>\n'
    )


def document(title: str, element: HTML) -> str:
    """Return a whole web page of one element, under a title that is escaped."""
    skeleton = (files("bradcn_nb.figures") / "pages" / "document.html").read_text("utf-8")
    return Template(skeleton).substitute(title=html.escape(title), body=element.data)


def data_uri(picture: np.ndarray, kind: str = "jpg", quality: int = 85) -> str:
    """Return a picture (H, W, 3), uint8 or in [0, 1], as a data URI; `kind` is "jpg" or "png"."""
    if picture.dtype != np.uint8:
        picture = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if kind == "jpg" else []
    coded = cv2.imencode(f".{kind}", picture[..., ::-1], options)[1]
    mime = {"jpg": "image/jpeg", "png": "image/png"}[kind]
    return f"data:{mime};base64,{base64.b64encode(coded.tobytes()).decode()}"
