"""Cards for whoever publishes: what the bundled weights and data are, what they score, and what
they must not be used for. Every number comes from data/results.

Templates stand beside this file. `experiments cards` writes data/weights/README.md,
data/README.md, data/croissant.json and .zenodo.json; `push_to_hub` of a bundled net carries its
card along.
"""

import json
import math
import tomllib
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from bradcn_nb.errors import BradcnError
from bradcn_nb.experiments.record import result
from bradcn_nb.files import data_root, write_atomically
from bradcn_nb.models import BRADCN, DepthNet, read_metadata
from bradcn_nb.models.defocus_net import DefocusNet
from bradcn_nb.presets import preset

TITLE = "BRADCN, built and measured"
PAPER = "Bokeh Rendering Based on Adaptive Depth Calibration Network"
LICENCE = "https://creativecommons.org/licenses/by/4.0/"
SETS = {  # name: (what, the glob that counts its items, pixels, purpose)
    "mini-ebb": ("outdoor pairs: all in focus, and through a lens", "original/*.jpg", "192x128",
                 "train (numbers below 4400), test (the others)"),
    "mini-sun": ("rooms: picture, sensor's depth, depth with holes filled", "**/image/*.jpg",
                 "128x96", "ADCN's labels (Eq. 2): train and test"),
    "mini-check": ("some of both that are in no other set", "**/*.jpg", "both",
                   "the score after each epoch of training"),
}  # fmt: skip
TRAINED = {  # file: (class of the net, on what)
    "bradcn-mini": (BRADCN, "3,300 generated outdoor pairs (stage 2), 300 rooms (stage 1)"),
    "depth-mini": (DepthNet, "32,000 generated rooms and outdoor scenes (stage 0)"),
    "defocus-mini": (DefocusNet, "3,300 generated outdoor pairs, without any depth"),
}


def write_cards(root: Path) -> list[Path]:
    """Write all cards below `root`, the repository's folder; return the files."""
    written = []
    for name, text in cards().items():
        write_atomically(root / name, text.encode())
        written.append(root / name)
    return written


def cards() -> dict[str, str]:
    """Return the text of every card, by its path below the repository's folder.

    Raises DataError where a result is missing, and BradcnError where mlcroissant is.
    """
    return {
        "data/weights/README.md": model_card(),
        "data/README.md": data_card(),
        "data/croissant.json": croissant(),
        ".zenodo.json": zenodo(),
    }


def model_card() -> str:
    """Return the bundled weights' card, in the form that the Hugging Face hub reads."""
    chosen, rows, seeds = preset("mini"), [], set()
    for name, (kind, on) in TRAINED.items():
        about = read_metadata(data_root() / "weights" / f"{name}.safetensors")
        seeds.add(about["seed"])
        count = sum(weight.numel() for weight in kind(chosen.model).parameters())
        rows.append(f"| {name}.safetensors | {kind.__name__} | {count:,} | {on} |")
    height, width = chosen.data.train_size
    return _filled(
        "model.md",
        files="\n".join(rows),
        seed=", ".join(sorted(seeds)),
        width=width,
        height=height,
        stride=chosen.model.stride,
        n=result("mini.n"),
        psnr=_dB("mini.psnr"),
        psnr_input=_dB("mini.psnr_input"),
        ssim=f"{result('mini.ssim'):.3f}",
        ssim_input=f"{result('mini.ssim_input'):.3f}",
        lpips=f"{result('mini.lpips'):.3f}",
        lpips_input=f"{result('mini.lpips_input'):.3f}",
        blur=_dB("table1.arms.blur.psnr"),
        dmshn=_dB("table1.arms.dmshn-skip.psnr"),
        bradcn=_dB("table1.arms.bradcn.psnr"),
        adcn=f"{result('defocus.maps.adcn.spearman.value'):.2f}",
        defocus=f"{result('defocus.maps.defocus.spearman.value'):.2f}",
        **_on_real_pairs(),
    )


def data_card() -> str:
    """Return the mini sets' card."""
    rows = [
        f"| {name} | {what} | {_count(name)} | {size} | {purpose} |"
        for name, (what, _, size, purpose) in SETS.items()
    ]
    return _filled("data.md", sets="\n".join(rows), **_on_real_pairs())


def croissant() -> str:
    """Return the mini sets as MLCommons Croissant 1.0 (JSON-LD), as mlcroissant writes it."""
    try:
        import mlcroissant as mlc
    except ImportError:
        raise BradcnError("mlcroissant is not installed; `pip install mlcroissant`") from None
    sets = [
        mlc.FileSet(
            id=f"{name}-{part}",
            name=f"{name}-{part}",
            description=f"{SETS[name][0]}: {part}",
            encoding_formats=[kind],
            includes=[f"{name}/{glob}"],
        )
        for name, part, glob, kind in (
            ("mini-ebb", "original", "original/*.jpg", "image/jpeg"),
            ("mini-ebb", "bokeh", "bokeh/*.jpg", "image/jpeg"),
            ("mini-sun", "image", "*/rooms/*/image/*.jpg", "image/jpeg"),
            ("mini-sun", "depth", "*/rooms/*/depth/*.png", "image/png"),
            ("mini-sun", "filled", "*/rooms/*/depth_bfx/*.png", "image/png"),
        )
    ]
    records = [
        mlc.RecordSet(
            id=part.id + "-records",
            name=part.id + "-records",
            description=part.description,
            fields=[
                mlc.Field(
                    id=f"{part.id}-records/{field}",
                    name=field,
                    description=said,
                    data_types=[kind],
                    source=mlc.Source(
                        file_set=part.id, extract=mlc.Extract(file_property=extracted)
                    ),
                )
                for field, said, kind, extracted in (
                    ("picture", "the picture", mlc.DataType.IMAGE_OBJECT, "content"),
                    ("file", "its name, which says its number", mlc.DataType.TEXT, "filename"),
                )
            ],
        )
        for part in sets
    ]
    metadata = mlc.Metadata(
        name="bradcn-mini",
        description="Generated scenes in the layouts of EBB! and SUN RGB-D: bokeh pairs and rooms "
        "with depth, for teaching and tests. README.md says how they differ from real pictures.",
        cite_as=f"The BRADCN book authors: {TITLE}.",
        license=[LICENCE],
        url=_address() or "https://example.org/bradcn-has-no-address-yet",
        version=_version(),
        distribution=sets,  # beside this file: in the repository, in the wheel
        record_sets=records,
    )
    return json.dumps(metadata.to_json(), indent=1, default=str) + "\n"


def zenodo() -> str:
    """Return what Zenodo shows of a release that is archived there."""
    real = _on_real_pairs()
    text = (
        f"<p>A Jupyter Book and a package that build one vision paper, <em>{PAPER}</em> (Liu, Zhou "
        "and Dong, 2023), with small trained nets, generated data, and every result's records.</p>"
        f"<p>Small nets on generated pictures: {_dB('mini.psnr')} dB on {result('mini.n')} test "
        f"pairs. On {real['real_n']} real pairs they have {real['real']} dB, less than one "
        f"Gaussian blur ({real['real_blur']} dB): not for photographs that must be right, not for "
        "measuring depth.</p>"
    )
    values: dict[str, Any] = {
        "title": TITLE,
        "description": text,
        "upload_type": "software",
        "version": _version(),
        "creators": [{"name": "The BRADCN book authors"}],
        "access_right": "open",
        "license": "MIT",
        "keywords": ["bokeh", "depth of field", "reproducibility", "vision transformer"],
    }
    if _address():
        values["related_identifiers"] = [
            {"identifier": _address(), "relation": "isSupplementTo", "scheme": "url"}
        ]
    return json.dumps(values, indent=2) + "\n"


def _filled(name: str, **values: Any) -> str:
    text = (files(__name__) / name).read_text("utf-8")
    return Template(text).substitute(values)


def _on_real_pairs() -> dict[str, Any]:
    keys = {"real": "real.psnr", "real_input": "real.psnr_input", "real_blur": "real.psnr_blur_4"}
    return {"real_n": result("real.n")} | {name: _dB(key) for name, key in keys.items()}


def _dB(key: str) -> str:
    return f"{result(key):.2f}"


def _count(name: str) -> int:
    count = sum(1 for _ in (data_root() / name).glob(SETS[name][1]))
    return count if count else math.nan


def _project() -> dict[str, Any]:
    text = (data_root().parent / "pyproject.toml").read_text("utf-8")
    return tomllib.loads(text)["project"]


def _version() -> str:
    return _project()["version"]


def _address() -> str:
    return _project()["urls"].get("Homepage", "")
