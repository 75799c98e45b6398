"""`score`: judge any method's pictures."""

import argparse
from pathlib import Path
from typing import Any

from bradcn_nb.cli.common import add_device, command, natural, picture_size

DIGITS = {"psnr": 2, "ssim": 4, "lpips": 4}


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "score",
        run_score,
        "Judge a folder of pictures against the truth; files are matched by stem, of any size.\n"
        "Protocol val294 (BRViT, DMSHN): bilinear to the truth's size, uint8, PSNR and SSIM of\n"
        "scikit-image, LPIPS v0.1 with AlexNet. Means come with a bootstrap 95 % interval. A\n"
        "stopped run goes on where it was.",
        "  python -m bradcn_nb score --pred out --truth truth\n"
        "  python -m bradcn_nb score --pred out --truth /data/EBB --out results/mine\n"
        "  python -m bradcn_nb score --pred out --truth truth --against other --strict\n"
        "  python -m bradcn_nb score --pred out --truth truth --ssim-window gaussian --lpips vgg",
    )
    parser.add_argument("--pred", type=Path, metavar="DIR", required=True, help="the method's")
    parser.add_argument(
        "--truth",
        type=Path,
        metavar="DIR",
        required=True,
        help="true pictures, or a folder of EBB! (then its test pairs)",
    )
    parser.add_argument("--against", type=Path, metavar="DIR", help="another method's, compared")
    parser.add_argument("--protocol", choices=("val294",), default="val294", help="default: val294")
    parser.add_argument(
        "--ssim-window", choices=("uniform", "gaussian"), default="uniform", help="a variant"
    )
    parser.add_argument(
        "--lpips", choices=("alex", "vgg", "none"), default="alex", help="a variant: its net"
    )
    parser.add_argument(
        "--lpips-size",
        type=picture_size,
        metavar="W,H",
        help="a variant: shrink both pictures for LPIPS",
    )
    parser.add_argument(
        "--match",
        choices=("exposure", "affine"),
        help="a variant for real pairs, which differ in exposure and place: bring each picture to"
        " its truth first, by one gain, or by an affine map and a gain",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="STEM",
        help="write STEM.json and STEM.csv; default: scores-NAME of the folder --pred",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="missing, extra, unreadable and resized pictures are errors",
    )
    parser.add_argument("--cache", type=Path, metavar="FILE", help="where measured values are kept")
    parser.add_argument("--workers", type=natural, metavar="N", help="default: one a core")
    add_device(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run_score(options: argparse.Namespace) -> None:
    """Handle `score`."""
    from bradcn_nb.errors import WeightsError
    from bradcn_nb.evaluation.folder_files import ScoreCache
    from bradcn_nb.evaluation.folders import compare, first_few, score, summarise, write_scores
    from bradcn_nb.evaluation.lpips import lpips_net
    from bradcn_nb.evaluation.metrics import Protocol
    from bradcn_nb.files import cache_folder
    from bradcn_nb.models.inference import pick_device

    notes = []
    backbone = None if options.lpips == "none" else options.lpips
    try:
        if backbone:
            lpips_net(backbone)
    except WeightsError as error:
        notes.append(f"LPIPS is not measured: {error}")
        backbone = None
    protocol = Protocol(options.ssim_window, backbone, options.lpips_size, options.match)
    cache = ScoreCache(options.cache or cache_folder() / "scores.jsonl")
    folders = [options.pred, options.against] if options.against else [options.pred]
    scored = [
        score(
            folder,
            options.truth,
            protocol,
            cache,
            strict=options.strict,
            workers=options.workers,
            device=str(pick_device(options.device)),
            progress=not options.quiet,
        )
        for folder in folders
    ]
    result: dict[str, Any] = {
        "protocol": options.protocol,
        "metrics": protocol.describe(),
        "pred": str(options.pred),
        "truth": str(options.truth),
        **summarise(scored[0], protocol),
    }
    if options.against:
        others = summarise(scored[1], protocol)
        del others["images"]
        result["against"] = {"pred": str(options.against), **others}
        result["difference"] = compare(*scored, protocol)
    stem = options.out or Path(f"scores-{options.pred.resolve().name}")
    paths = write_scores(stem, result, protocol.metrics)
    for line in _table(result):
        print(line)
    for folder, scores in zip(folders, scored, strict=True):
        for problem in scores.problems():
            print(f"{folder}: {problem}")
        if scores.ignored:
            print(f"{folder}: not read, no picture by its name: {first_few(scores.ignored)}")
    for note in notes:
        print(note)
    print(f"every picture: {', '.join(str(path) for path in paths)}")


def _table(result: dict[str, Any]) -> list[str]:
    """The means of one folder with their intervals, or of two and the differences of their
    pairs."""
    lines = [f"protocol {result['protocol']}: bilinear to the truth's size, uint8"]
    rows = [("", result)]
    if "against" in result:
        rows += [("against", result["against"]), ("difference", result["difference"])]
    for name, part in rows:
        if len(rows) > 1:
            title = {"": result["pred"], "against": result["against"]["pred"]}.get(
                name, "paired difference, first minus second"
            )
            lines += ["", title]
        lines.append(f"{part['n']:>5} pictures{'':26}mean   95 % interval")
        for metric, text in result["metrics"].items():
            value, digits = part[metric], DIGITS[metric]
            sign = "+" if name == "difference" else ""
            mean, low, high = (f"{value[k]:{sign}.{digits}f}" for k in ("mean", "low", "high"))
            line = f"{metric.upper():6} {text:30} {mean:>7}   {low} to {high}"
            if name == "difference":
                line += f", better in {value['better']}"
            lines.append(line)
    return lines
