"""Where the book is published: one setting, and everything that follows from it.

    make set-repository URL=https://github.com/OWNER/NAME     # or: python book/repository.py URL

`repository.url` in _config.yml is the setting. From it come the badge and the set-up cell of every
chapter and assignment, the links in pyproject.toml, the address in CITATION.cff, the line in
README.md, and the cards for Croissant and Zenodo. No cell is executed and no output changes. An
empty URL takes it all back.
"""

import re
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGE = "colab.md"  # where badges lead while there is no address
MISSING_ON_COLAB = "lpips pytorch-msssim"  # all else that the chapters import is there


def address() -> tuple[str, str]:
    """Return the address and the branch that _config.yml names; the address may be empty."""
    repository = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]
    return repository["url"], repository["branch"]


def wheel(url: str) -> str:
    """Return the address of this version's wheel among the releases of the repository at `url`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    version, name = project["version"], project["name"]
    return f"{url}/releases/download/v{version}/{name}-{version}-py3-none-any.whl"


def badge(stem: str) -> str:
    """Return the Markdown line that opens a notebook on Colab; `stem` is its path in book/."""
    url, branch = address()
    up = "../" * stem.count("/")
    target = up + PAGE
    if url:
        owner_and_name = "/".join(url.split("/")[-2:])
        target = "https://colab.research.google.com/github/"
        target += f"{owner_and_name}/blob/{branch}/book/{stem}.ipynb"
    return f"[![Open in Colab]({up}_static/colab-badge.svg)]({target})"


def set_up_cell(url: str) -> str:
    """Return the source of every chapter's set-up cell, for a book published at `url`.

    `--no-deps`: what Colab has stays as it is. Its own code does not start again with another
    IPython or traitlets.
    """
    if not url:
        fetch = ['    raise ModuleNotFoundError("no bradcn_nb: the page On Colab says how")']
    else:
        fetch = [
            "    from IPython import get_ipython",
            "",
            f'    WHEEL = "{wheel(url)}"',
            f'    OTHERS = "{MISSING_ON_COLAB}"',
            '    get_ipython().run_line_magic("pip", f"install -q --no-deps {WHEEL} {OTHERS}")',
            "    from bradcn_nb.models.inference import about_device",
            "",
            "    print(about_device())",
        ]
    return "\n".join(
        [
            "# On Colab this fetches the book's package; elsewhere it is there already.",
            "from importlib.util import find_spec",
            "",
            'if find_spec("bradcn_nb") is None:',
            *fetch,
        ]
    )


def set_repository(url: str) -> None:
    """Write the address to every file that names it; raises SystemExit for one that is none."""
    url = url.rstrip("/").removesuffix(".git")
    if url and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        raise SystemExit(
            f"{url}: not an address such as https://github.com/OWNER/NAME (Colab opens GitHub's)"
        )
    _replace("_config.yml", r'(?<=\n  url: ").*?(?=")', url)
    links = f'Homepage = "{url}"\nIssues = "{url}/issues"\n' if url else ""
    _replace("pyproject.toml", r"(?<=\n\[project\.urls\]\n)(?:\w+ = .*\n)*", links)
    code = f'repository-code: "{url}"\n' if url else ""
    _replace("CITATION.cff", r"(?<=type: software\n)(?:repository-code: .*\n)?", code)
    line = f"Published at <{url}>." if url else "This copy has no address yet."
    _replace("README.md", r"(?<=<!-- repository -->).*", f" {line}")


def stale() -> list[str]:
    """Return the files, chapters aside, that do not follow the setting."""
    url, _ = address()
    named = {"pyproject.toml": "Homepage", "CITATION.cff": "repository-code", "README.md": url}
    return [
        name
        for name, word in named.items()
        if url and not (word in (text := (ROOT / name).read_text("utf-8")) and url in text)
    ]


def _replace(name: str, pattern: str, text: str) -> None:
    path = ROOT / name
    changed, count = re.subn(pattern, lambda _: text, path.read_text("utf-8"), count=1)
    if not count:
        raise SystemExit(f"{name}: no place for the address ({pattern})")
    path.write_text(changed, "utf-8")


if __name__ == "__main__":
    import editions  # which writes the assignments by this module
    import refresh  # and this one the chapters

    from bradcn_nb.experiments.cards import write_cards

    set_repository(sys.argv[1] if len(sys.argv) > 1 else "")
    write_cards(ROOT)
    editions.write()
    sys.exit(refresh.bring_over_prose(refresh.all_chapters()))
