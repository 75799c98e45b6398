"""The lens that a photograph is drawn through: asked for, the camera's own, or EBB!'s."""

import math

from PIL import ExifTags, Image

from bradcn_nb.data.photos import Photo
from bradcn_nb.lens.thin_lens import Camera

DIAGONAL_MM = math.hypot(36, 24)  # of 35 mm film, by which equivalent focal lengths are told


def equivalent_mm(photo: Photo) -> float | None:
    """The focal length that the camera used, as on 35 mm film; None where its file says none."""
    if photo.exif is None:
        return None
    exif = Image.Exif()
    exif.load(photo.exif)
    value = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm)
    try:
        mm = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return mm if math.isfinite(mm) and mm > 0 else None  # 0 is EXIF's word for unknown


def camera_for(
    photo: Photo,
    aperture: float | None = None,
    strength: float = 1.0,
    lens_mm: float | None = None,
) -> tuple[Camera, str]:
    """The camera to draw a photograph with, and what it is, in words.

    - `aperture`: the f-number; None is f/1.8 over `strength`, of EBB!'s lens or of `lens_mm`
    - `lens_mm`: focal length as on 35 mm film; None is the camera's own (EXIF) where an f-number is
      given, and else EBB!'s: 50 mm before a sensor 14.9 mm high
    """
    f_number = aperture or Camera.f_number / strength
    own = equivalent_mm(photo) if aperture is not None and lens_mm is None else None
    mm = lens_mm or own
    if mm is None:
        camera = Camera(f_number=f_number)
        words = f"a {camera.focal_mm:g} mm lens before a {camera.sensor_height_mm:g} mm sensor"
    else:
        sides = photo.rgb.shape[:2]
        camera = Camera(mm, f_number, DIAGONAL_MM * min(sides) / math.hypot(*sides))
        words = f"a {mm:g} mm lens (35 mm film{', from EXIF' if own else ''})"
    return camera, f"{words} at f/{f_number:.3g}"
