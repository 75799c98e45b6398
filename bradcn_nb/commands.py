"""What the commands do; heavy imports stand inside, so that `--help` is instant."""

import argparse
from pathlib import Path

from bradcn_nb.errors import BradcnError, DataError
from bradcn_nb.presets import data_root, preset


def _use_threads(count: int | None) -> None:
    if count:
        import torch

        torch.set_num_threads(count)


def make_data(options: argparse.Namespace) -> None:
    """Handle `data make`."""
    from bradcn_nb.data import bundle

    bundle.make(options.out, options.pairs, progress=not options.quiet)
    print(f"{options.out}: mini-ebb and mini-sun are made")


def check_data(options: argparse.Namespace) -> None:
    """Handle `data check`; raises DataError if the folder is of no known layout or has damaged files."""
    from bradcn_nb.data import EBB, SUN_SENSORS, SUNRGBD, verify

    path, sets = options.path, []
    if not path.is_dir():
        raise DataError(f"{path}: no such folder")
    if (path / "original").is_dir() or (path / "bokeh").is_dir():
        sets = [(f"EBB! {split} pairs", EBB(path, split)) for split in ("train", "test")]
    elif any((path / sensor).is_dir() for sensor in SUN_SENSORS):
        count = len(SUNRGBD(path, "train", (1, 0)).frames)
        sets = [("SUN RGB-D frames", SUNRGBD(path, "train", (count, 0)))]
    else:
        raise DataError(
            f"{path}: neither EBB! (original/, bokeh/) nor SUN RGB-D ({'/, '.join(SUN_SENSORS)}/)"
        )
    damaged = 0
    for name, dataset in sets:
        problems = verify(dataset, progress=not options.quiet)
        damaged += len(problems)
        absent = len(getattr(dataset, "absent", []))
        print(
            f"{name}: {len(dataset)}" + (f" ({absent} of the real set are absent)" * bool(absent))
        )
        for problem in problems:
            print(f"  {problem}")
    if damaged:
        raise DataError(f"{path}: {damaged} damaged items; restore the files named above")


def make_labels(options: argparse.Namespace) -> None:
    """Handle `labels`."""
    if not options.run and not (options.depth and options.out):
        raise BradcnError("labels: name a run with --run, or both --depth and --out")
    from bradcn_nb.training import make_run_labels

    _use_threads(options.threads)
    chosen = preset(options.preset)
    depth = options.depth or options.run / "stage0" / "depth.safetensors"
    folder = make_run_labels(
        chosen, depth, options.run, options.out, options.sun, not options.quiet
    )
    print(f"labels: {folder}")


def run_training(options: argparse.Namespace) -> None:
    """Handle `train`."""
    chosen = preset(options.preset)
    if options.stage != "all":
        chosen.stage(options.stage)  # an unknown name fails before the slow imports
    from bradcn_nb.training import train, train_all

    run_dir = options.run or Path("runs") / chosen.name
    nets = {"depth": options.depth, "adcn": options.adcn}
    settings = {
        "resume": "require" if options.resume else "fresh" if options.fresh else "auto",
        "init": {net: file for net, file in nets.items() if file},
        "data": {name: getattr(options, name) for name in ("ebb", "sun", "labels")},
        "max_steps": options.max_steps,
        "checkpoint_every": options.checkpoint_every,
        "num_workers": options.workers,
        "threads": options.threads,
        "progress": not options.quiet,
    }
    if options.stage == "all":
        final = train_all(chosen, run_dir, **settings)
    else:
        final = train(chosen, options.stage, run_dir, **settings)
    print(f"trained: {final}")


def run_evaluation(options: argparse.Namespace) -> None:
    """Handle `evaluate`."""
    import json

    from bradcn_nb.data import EBB
    from bradcn_nb.evaluation import evaluate
    from bradcn_nb.labels import weights_hash
    from bradcn_nb.models import load_bradcn
    from bradcn_nb.training.stages import bundled

    _use_threads(options.threads)
    chosen = preset(options.preset)
    weights = options.weights or data_root() / "weights" / f"bradcn-{chosen.name}.safetensors"
    model = load_bradcn(chosen.name, weights)
    root = options.ebb or bundled(chosen.data.ebb, "--ebb", chosen)
    result = evaluate(
        model,
        EBB(root, "test"),
        chosen.data.train_size,
        preset=chosen.name,
        weights_hash=weights_hash(weights),
        images=options.images,
        progress=not options.quiet,
    )
    if options.json:
        print(json.dumps(result))
        return
    print(f"{result['n']} pictures{'':14}PSNR dB   SSIM")
    for suffix, name in (
        ("", "BRADCN"),
        ("_render_only", "without its branches"),
        ("_input_half", "input, half size"),
        ("_input", "input"),
    ):
        print(f"{name:24}{result['psnr' + suffix]:7.2f}  {result['ssim' + suffix]:.4f}")


def render(options: argparse.Namespace) -> None:
    """Handle `render`; raises BradcnError when focus or aperture are asked of the net."""
    lens = {"--focus": options.focus, "--aperture": options.aperture, "--depth": options.depth}
    asked = [name for name, value in lens.items() if value is not None]
    renderer = options.renderer or ("lens" if asked else "bradcn")
    if renderer == "bradcn" and asked:
        raise BradcnError(f"render: bradcn has no {', '.join(asked)}; use --renderer lens")
    from bradcn_nb.models import load_bradcn
    from bradcn_nb.rendering import render_photo

    _use_threads(options.threads)
    model = None
    if options.weights or renderer == "bradcn" or options.preset != "mini":
        model = load_bradcn(options.preset, options.weights)
    render_photo(
        options.photo,
        options.out,
        renderer=renderer,
        focus=options.focus,
        aperture=1.8 if options.aperture is None else options.aperture,
        depth=options.depth,
        model=model,
        cfg=preset(options.preset).model,
    )
    print(options.out)


def summarise(options: argparse.Namespace) -> None:
    """Handle `summary`."""
    import json

    from bradcn_nb.summary import as_json, as_text, summarise

    chosen = preset(options.preset)
    size = options.size or chosen.data.train_size
    nets = summarise(chosen, size)
    if options.json:
        print(json.dumps(as_json(chosen, size, nets)))
    else:
        print(as_text(chosen, size, nets))


def run_bench(options: argparse.Namespace) -> None:
    """Handle `bench`; what was measured is printed and written after an interruption, too."""
    import json

    from bradcn_nb import bench
    from bradcn_nb.bench_report import as_text, finished
    from bradcn_nb.files import write_atomically

    _use_threads(options.threads)
    results = {}
    try:
        bench.run(
            options.names,
            results,
            repeats=options.repeats,
            quick=options.quick,
            progress=not options.quiet,
        )
    finally:
        if results:
            whole = finished(results)
            print(as_text(whole))
            if options.json:
                write_atomically(options.json, (json.dumps(whole, indent=2) + "\n").encode())
