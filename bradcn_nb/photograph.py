"""One photograph in, one with bokeh out: by the net (`bradcn`) or by depth and optics (`lens`)."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bradcn_nb.data.camera import camera_for
from bradcn_nb.data.depth_maps import (
    DepthMap,
    check_depth_output,
    fitted,
    read_depth_map,
    write_depth_map,
)
from bradcn_nb.data.focus import Focus, found_span, in_words, pixels_of
from bradcn_nb.data.phone import OWN, read_own_depth, what_is_inside
from bradcn_nb.data.photos import (
    MIN_SIDE,
    Photo,
    check_output,
    read_photo,
    shrunk,
    write_photo,
)
from bradcn_nb.errors import BradcnError, DataError, PhotoError
from bradcn_nb.lens.by_depth import (
    LARGEST_DISC,
    NEAREST_M,
    PLAIN,
    Look,
    render_layered,
    signed_radius,
)
from bradcn_nb.lens.focus import Span
from bradcn_nb.lens.thin_lens import over_white, resize
from bradcn_nb.lens.upsample import guided_upsample, upsample_stack
from bradcn_nb.presets import ModelConfig, preset

if TYPE_CHECKING:  # torch and timm take seconds to import, and a given depth needs neither
    import torch
    from torch import nn

PREVIEW_SIDE = 1000  # pixels of the long side


def render_photo(
    path: str | Path,
    out: str | Path,
    renderer: str = "bradcn",
    focus: Focus = None,
    aperture: float | None = None,
    strength: float = 1.0,
    lens_mm: float | None = None,
    depth: str | Path | None = None,
    depth_kind: str = "auto",
    depth_scale: float | None = None,
    depth_model: str | Path | None = None,
    save_depth: str | Path | None = None,
    look: Look = PLAIN,
    preview: bool = False,
    model: "nn.Module | None" = None,
    device: "torch.device | str" = "cpu",
) -> tuple[str, ...]:
    """Read a photograph, give it bokeh and write it: same size, profile, EXIF; alpha is blurred,
    too.

    - `path`, `out`: photographs as `read_photo` and `write_photo` know them
    - `renderer`: "bradcn", the net decides what is sharp; or "lens", blur by depth
    - `focus`: for the lens, what is sharp: (x, y) in pixels of the upright photograph or a Percent,
      or a list of them, between which all is sharp; a Span; "subject", see `subject_span`; "face",
      all that `find_faces` finds; default `default_focus`
    - `aperture`, `strength`, `lens_mm`: for the lens, see `camera_for`
    - `depth`, `depth_kind`, `depth_scale`: for the lens, a depth map, as `read_depth_map` reads it,
      or "own": the one inside of the photograph, see `read_own_depth`
    - `depth_model`: for the lens, another estimator, see `estimate_depth`
    - `save_depth`: for the lens, a file for the depth that was used, see `write_depth_map`
    - `preview`: a small result, `PREVIEW_SIDE` pixels long
    - `model`: a BRADCN; by default the bundled mini one, for "lens" mini's depth net before stage 2
    - `device`: where the nets run
    - `look`: for the lens, its lamps, the shape of its aperture and the grain

    Returns in words what the lens took for sharp and for its f-number, what had to be assumed of
    the depth, depth inside of the photograph that is not used, and a gain map that is not kept.
    Raises PhotoError for pictures that cannot be read or written, a focus outside the picture and a
    picture without the face that was asked for, DataError for a bad depth map and a Span that holds
    nothing, BradcnError for an unknown renderer, focus or estimator, or an impossible aperture or
    look. All names are checked before work.
    """
    if renderer not in ("bradcn", "lens"):
        raise BradcnError(f"unknown renderer {renderer!r}: choose bradcn or lens")
    if isinstance(focus, str) and focus not in ("subject", "face"):
        raise BradcnError(f"unknown focus {focus!r}: choose subject or face")
    if aperture is not None and not (math.isfinite(aperture) and aperture > 0):
        raise BradcnError(f"aperture {aperture}: give an f-number above 0, such as 1.8")
    look.check()
    check_output(out, path)
    if save_depth is not None:
        check_depth_output(save_depth)
    photo = read_photo(path)
    places = pixels_of(path, focus, *photo.rgb.shape[:2])
    given = _given_depth(path, photo, depth, depth_kind, depth_scale)
    if preview:
        full = max(photo.rgb.shape)
        photo = shrunk(photo, PREVIEW_SIDE)
        scale = max(photo.rgb.shape) / full
        places = [(x * scale, y * scale) for x, y in places]
    whole = photo.rgb if photo.alpha is None else np.dstack([photo.rgb, photo.alpha])
    notes: tuple[str, ...] = ()
    if renderer == "bradcn":
        from bradcn_nb.models.bundled import load_bradcn
        from bradcn_nb.models.inference import for_inference

        cfg = model.cfg if model else preset("mini").model
        drawn = render_bradcn(whole, for_inference(model or load_bradcn()).to(device), cfg)
    else:
        source, seen = _named(path, depth) or depth_model, over_white(whole)
        given, metres = _seen_depth(photo, seen, given, source, model, device)
        if save_depth is not None:
            write_depth_map(save_depth, metres)
        relative = given is not None and given.relative
        if relative and isinstance(focus, Span):
            raise DataError(f"{source}: is relative depth, without metres; give --focus X,Y")
        span, sharp = found_span(path, focus, places, metres, seen)
        camera, lens = camera_for(photo, aperture, strength, lens_mm)
        radius = signed_radius(metres, *span, camera)
        widest = 2 * max(float(radius.max()), -float(radius.min()))
        unit = " of a relative depth" if relative else ""
        words = f"{sharp}, {in_words(span)}{unit}; {lens}; discs of up to {widest:.0f} px"
        notes = (words, *(given.notes if given else ()))
        del metres, seen  # of 48 megapixels, 0.2 GB and where there is alpha 0.6 GB
        drawn = render_layered(whole, radius, 0.0, 1.0, **look._asdict())
    alpha = None if photo.alpha is None else drawn[..., 3]
    write_photo(out, dataclasses.replace(photo, rgb=drawn[..., :3], alpha=alpha))
    return notes + _unused(path, asked=bool(depth or depth_model), written=True)


def read_with_depth(
    path: str | Path,
    depth: str | Path | None = None,
    depth_kind: str = "auto",
    depth_scale: float | None = None,
    depth_model: str | Path | None = None,
    device: "torch.device | str" = "cpu",
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Read a photograph and its depth, as `render_photo` takes them for the lens.

    Returns (H,W,3) sRGB in [0,1], what is transparent laid on white; (H,W) in metres; and what had
    to be assumed of the depth, or is not used. Raises what `render_photo` raises.
    """
    photo = read_photo(path)
    given = _given_depth(path, photo, depth, depth_kind, depth_scale)
    whole = photo.rgb if photo.alpha is None else np.dstack([photo.rgb, photo.alpha])
    seen = over_white(whole)
    source = _named(path, depth) or depth_model
    given, metres = _seen_depth(photo, seen, given, source, None, device)
    unused = _unused(path, asked=bool(depth or depth_model), written=False)
    return seen, metres, (given.notes if given else ()) + unused


def _given_depth(
    path: str | Path, photo: Photo, depth: str | Path | None, kind: str, scale: float | None
) -> DepthMap | None:
    """The depth that was asked for, of a file or the photograph's own; None if none was."""
    if depth is None:
        return None
    if str(depth) == OWN:
        if kind != "auto":
            raise BradcnError(f"depth kind {kind}: the photograph's own depth says what it is")
        return read_own_depth(path, photo.rgb.shape[:2], photo.orientation, scale)
    return read_depth_map(depth, kind, scale)


def _named(path: str | Path, depth: str | Path | None) -> str | Path | None:
    """What to call the depth when it does not fit."""
    return f"{path}: its own depth" if str(depth) == OWN else depth


def _unused(path: str | Path, asked: bool, written: bool) -> tuple[str, ...]:
    """What the photograph's file holds and the picture does not come to have, in words."""
    inside, notes = what_is_inside(path), []
    if inside.depth and not asked:
        told = f"cannot be read: {inside.damage}" if inside.damage else "is used by --depth own"
        notes.append(f"{path}: holds {inside.depth} of its own, which {told}")
    if inside.gain_map and written:
        notes.append(f"{path}: its HDR gain map is not kept; the bokeh is an SDR picture")
    if inside.colours:
        notes.append(f"{path}: its {inside.colours} colours have no profile and are taken as sRGB")
    return tuple(notes)


def _seen_depth(
    photo: Photo,
    seen: np.ndarray,
    given: DepthMap | None,
    source: str | Path | None,
    model: "nn.Module | None",
    device: "torch.device | str",
) -> tuple[DepthMap | None, np.ndarray]:
    """The depth that is given or that the estimator `source` sees, if any, and (H,W) metres."""
    if given is None and source is not None:
        from bradcn_nb.data.depth_models import estimate_depth

        given = estimate_depth(source, seen, device)
    if given is not None:
        return given, fitted(given, seen, photo.orientation, source)
    from bradcn_nb.models.bundled import load_depth_net
    from bradcn_nb.models.inference import for_inference

    ready = for_inference(model or load_depth_net()).to(device)
    cfg = model.cfg if model else preset("mini").model
    return None, depth_of(seen, ready.depth_net if model else ready, cfg)


def render_bradcn(photo: np.ndarray, model: "nn.Module", cfg: ModelConfig) -> np.ndarray:
    """Bokeh by the net for a photograph (H,W,3 or 4) sRGB in [0,1]; same shape and range."""
    return upsample_stack(photo, net_bokeh(over_white(photo), model, cfg))


def net_bokeh(photo: np.ndarray, model: "nn.Module", cfg: ModelConfig) -> np.ndarray:
    """The net's own small picture (h,w,3) in [0,1] of a photograph (H,W,3) sRGB in [0,1]."""
    import torch

    tensor, rows, columns = _net_input(photo, model, cfg)
    with torch.inference_mode():
        bokeh = model(tensor).bokeh
    net = bokeh[0, :, :rows, :columns].permute(1, 2, 0).float().cpu().numpy()
    return np.ascontiguousarray(np.clip(net, 0, 1))


def depth_of(photo: np.ndarray, depth_net: "nn.Module", cfg: ModelConfig) -> np.ndarray:
    """Depth (H,W) in metres of a photograph (H,W,3) by a depth net, brought to its edges.

    Disparity is what is enlarged, because a slanted plane is linear in it and blur is, too. Nothing
    is nearer than `NEAREST_M`: fine-tuning for pictures (stage 2) lets the depth net drift beyond.
    """
    import torch

    tensor, rows, columns = _net_input(photo, depth_net, cfg)
    with torch.inference_mode():
        metres = depth_net(tensor)
    disparity = 1 / np.maximum(metres[0, 0, :rows, :columns].float().cpu().numpy(), 1e-3)
    fine = guided_upsample(disparity.astype(np.float32), photo)
    return np.maximum(1 / np.clip(fine, disparity.min(), disparity.max()), NEAREST_M)


def defocus_of(
    photo: np.ndarray, depth_net: "nn.Module", defocus_net: "nn.Module", cfg: ModelConfig
) -> np.ndarray:
    """Radius (H,W) of each place's disc in % of the height of a photograph (H,W,3), as a
    DefocusNet says, brought to the photograph's edges.
    """
    import torch

    tensor, rows, columns = _net_input(photo, depth_net, cfg)
    with torch.inference_mode():
        radius = defocus_net(tensor, depth_net(tensor))
    small = radius[0, 0, :rows, :columns].float().cpu().numpy()
    return np.clip(guided_upsample(small, photo), 0, 100 * LARGEST_DISC)


def _net_input(
    photo: np.ndarray, net: "nn.Module", cfg: ModelConfig
) -> "tuple[torch.Tensor, int, int]":
    """The photograph at the net's number of pixels: tensor (1,3,h,w), and its rows and columns.

    The aspect ratio stays, of a panorama too; `pad_to_stride` makes the tensor fit the net.
    """
    import torch

    from bradcn_nb.models.blocks import pad_to_stride

    height, width = photo.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise PhotoError(
            f"a picture of {width} x {height} pixels is too small; give at least {MIN_SIDE} a side"
        )
    scale = math.sqrt(cfg.image_size[0] * cfg.image_size[1] / (height * width))
    if min(height, width) * scale < cfg.stride:  # where rounding to whole pixels would be seen
        scale = max(1, round(min(height, width) * scale)) / min(height, width)
    rows, columns = round(height * scale), round(width * scale)
    small = resize(photo, (rows, columns)).transpose(2, 0, 1)
    tensor = torch.from_numpy(np.ascontiguousarray(small))[None]
    device = next(net.parameters(), tensor).device
    return pad_to_stride(tensor, cfg.stride).to(device), rows, columns
