"""Sphinx extension: drop what would leave the reader's machine, lead nowhere or break a page.

Jupyter Book always loads sphinx-thebe, whose script declares one constant twice (an error on
every page) and fetches its program from a CDN when used. This book has no live cells.
The theme's launch buttons need an address to launch from, and fail the build without one.
"""

from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config


def _is_thebe(script: Any) -> bool:
    body = (getattr(script, "attributes", None) or {}).get("body") or ""
    return "sphinx-thebe" in str(getattr(script, "filename", script)) or "THEBE_JS_URL" in body


def drop_thebe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Take sphinx-thebe's scripts and styles out of one page's context."""
    for kind in ("script_files", "css_files"):
        if kind in context:
            context[kind] = [entry for entry in context[kind] if not _is_thebe(entry)]


def drop_launch_buttons(app: Sphinx, config: Config) -> None:
    """Take the launch buttons away as long as `repository.url` in _config.yml is empty."""
    if not config.html_theme_options.get("repository_url"):
        config.html_theme_options.pop("launch_buttons", None)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.connect("config-inited", drop_launch_buttons)
    # Late: after every extension and the theme have added their files.
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
