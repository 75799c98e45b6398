"""Materials and photographs that the scenes are painted with, as mipmap pyramids in linear light.

Everything comes from the pictures inside scikit-image's and scikit-learn's wheels and from seeded
noise; nothing is downloaded. A material's mean is about 1 in each channel, so that a surface's tint
is its albedo.
"""

from functools import cache, lru_cache

import cv2
import numpy as np
import skimage.data
import sklearn.datasets

from bradcn_nb.lens.thin_lens import srgb_to_linear

SIZE = 512
Pyramid = tuple[np.ndarray, ...]


def pyramid(picture: np.ndarray) -> Pyramid:
    """Return `picture` (h, w, c) float32 and its halvings down to a few pixels, finest first."""
    levels = [np.ascontiguousarray(picture, np.float32)]
    while min(levels[-1].shape[:2]) > 4:
        h, w = levels[-1].shape[:2]
        levels.append(cv2.resize(levels[-1], (w // 2, h // 2), interpolation=cv2.INTER_AREA))
    return tuple(levels)


@lru_cache(maxsize=32)
def noise(seed: int, slope: float = 1.0, stretch: float = 1.0, size: int = SIZE) -> np.ndarray:
    """Return (size, size) tileable noise, mean 0 and deviation 1, with amplitude ~
    1/frequency^slope.

    `stretch` > 1 draws the grain out along y, as in wood and bark.
    """
    rng = np.random.default_rng(seed)
    fy, fx = np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size), indexing="ij")
    frequency = np.hypot(fy * stretch, fx / stretch)
    frequency[0, 0] = np.inf
    spectrum = np.fft.fft2(rng.standard_normal((size, size))) / frequency**slope
    field = np.fft.ifft2(spectrum).real
    return ((field - field.mean()) / field.std()).astype(np.float32)


@lru_cache(maxsize=16)
def photograph(name: str) -> np.ndarray:
    """Return one bundled photograph as (h, w, 3) float32 in linear light."""
    if name in ("china", "flower"):
        picture = sklearn.datasets.load_sample_image(f"{name}.jpg")
    else:
        picture = getattr(skimage.data, name)()
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    return srgb_to_linear(picture[..., :3].astype(np.float32) / 255).astype(np.float32)


def _relative(picture: np.ndarray, contrast: float = 1.0) -> np.ndarray:
    """Scale to mean 1 per channel and damp the contrast around it; keep it positive."""
    picture = picture / picture.mean((0, 1), keepdims=True)
    return np.clip(1 + contrast * (picture - 1), 0.02, 4)


def _coloured(grey: np.ndarray, seed: int, amount: float = 0.08) -> np.ndarray:
    """Give a grey material (h, w) slow drifts between warm and cool, so that it is not flat."""
    drift = noise(seed, 1.2)[..., None] * np.array([amount, 0.2 * amount, -amount])
    return grey[..., None] * (1 + drift)


def _cells(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (SIZE, SIZE) distance to the joint between irregular stones, and each stone's
    number."""
    rng = np.random.default_rng(seed)
    grid = (np.arange(count) + 0.5) / count
    points = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    points = points + rng.uniform(-0.32, 0.32, points.shape) / count
    tiled = (
        points[None] + np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])[:, None]
    ) * SIZE
    tiled = tiled.reshape(-1, 2)
    warp = 6 * np.stack([noise(seed + 1, 1.6), noise(seed + 2, 1.6)], -1)
    y, x = np.mgrid[:SIZE, :SIZE]
    position = np.stack([x, y], -1) + warp
    first = np.full((SIZE, SIZE), np.inf)
    second = first.copy()
    owner = np.zeros((SIZE, SIZE), int)
    for i, point in enumerate(tiled):
        distance = np.hypot(*(position - point).transpose(2, 0, 1))
        nearer = distance < first
        second = np.where(nearer, first, np.minimum(second, distance))
        owner[nearer] = i % len(points)
        first = np.minimum(first, distance)
    return second - first, owner


def _grey_photo(name: str) -> np.ndarray:
    return photograph(name)[:SIZE, :SIZE].mean(2)


def _paving(seed: int, count: int) -> np.ndarray:
    joint, owner = _cells(seed, count)
    tone = np.random.default_rng(seed).uniform(0.75, 1.2, count * count)[owner]
    stone = _relative(_grey_photo("gravel")[..., None], 1.0)[..., 0] * tone
    return _coloured(stone * (0.2 + 0.8 * np.clip(joint / 10, 0, 1)), seed)


def _bricks() -> np.ndarray:
    return _relative(_coloured(_grey_photo("brick"), 5, 0.03), 1.5)


def _planks(seed: int) -> np.ndarray:
    boards = np.arange(SIZE) // (SIZE // 8)
    tone = np.random.default_rng(seed).uniform(0.7, 1.25, 8)[boards]
    gap = np.where((np.arange(SIZE) % (SIZE // 8)) < 3, 0.3, 1.0)
    grain = np.exp(0.22 * noise(seed, 0.9, 4.0))
    return _coloured(grain * (tone * gap)[None, :], seed, 0.05)


def _fabric() -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE]
    weave = 1 + 0.25 * np.sin(x * np.pi / 4) * np.sin(y * np.pi / 4)
    return _coloured(weave * np.exp(0.15 * noise(41, 0.8)), 42, 0.04)


def _tiles() -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE]
    joint = np.minimum(x % 128, y % 128) < 3
    tone = np.random.default_rng(50).uniform(0.88, 1.1, (4, 4))[y // 128, x // 128]
    return _coloured(np.where(joint, 0.5, tone) * np.exp(0.06 * noise(51, 1.2)), 52, 0.03)


def _books() -> np.ndarray:
    rng = np.random.default_rng(60)
    shelf = np.full((SIZE, SIZE, 3), 0.08)
    for row in range(4):
        x = 0
        while x < SIZE:
            width = int(rng.integers(10, 34))
            top = row * 128 + int(rng.integers(6, 46))
            colour = rng.choice(
                [
                    (0.9, 0.8, 0.6),
                    (0.7, 0.1, 0.1),
                    (0.1, 0.2, 0.5),
                    (0.2, 0.4, 0.2),
                    (1.6, 1.6, 1.5),
                    (0.3, 0.2, 0.15),
                ]
            )
            shelf[top : row * 128 + 120, x : x + width] = colour * rng.uniform(0.6, 1.4)
            x += width + 1
    return shelf


def _facade(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wall = np.repeat(np.exp(0.12 * noise(seed, 0.9))[..., None], 3, 2)
    nx, ny = rng.integers(3, 6), rng.integers(3, 6)
    cw, ch = SIZE // nx, SIZE // ny
    for i in range(nx):
        for j in range(ny):
            x, y = int((i + 0.22) * cw), int((j + 0.18) * ch)
            w, h = int(0.52 * cw), int(0.6 * ch)
            wall[y - 5 : y + h + 5, x - 5 : x + w + 5] *= 1.35
            glass = np.array([0.16, 0.2, 0.25]) * rng.uniform(0.5, 2.2)
            if rng.random() < 0.12:
                glass = np.array([1.9, 1.5, 0.9])
            wall[y : y + h, x : x + w] = glass * np.linspace(1.3, 0.7, h)[:, None, None]
            wall[y : y + h, x + w // 2 - 2 : x + w // 2 + 2] = 1.1
            wall[y + h + 5 : y + h + 14, x - 5 : x + w + 5] *= 0.55
    wall[::ch][:, :] *= 0.8
    return wall


def _clouds(seed: int, contrast: float) -> np.ndarray:
    towards_horizon = np.linspace(1.15, 0.9, SIZE)[:, None, None]
    return np.exp(contrast * noise(seed, 1.6))[..., None] * towards_horizon * np.ones(3)


MATERIALS = {
    "grass": lambda: _relative(_coloured(_grey_photo("grass"), 1, 0.15), 1.7),
    "gravel": lambda: _relative(_coloured(_grey_photo("gravel"), 2, 0.08), 1.9),
    "bricks": _bricks,
    "paving": lambda: _paving(10, 4),
    "cobbles": lambda: _paving(11, 9),
    "asphalt": lambda: _coloured(np.exp(0.4 * noise(20, 0.3) + 0.15 * noise(21, 1.3)), 22, 0.03),
    "litter": lambda: _relative(_coloured(np.exp(0.7 * noise(23, 0.7)), 24, 0.2)),
    "bark": lambda: _coloured(np.exp(0.5 * noise(30, 0.8, 2.5)), 31, 0.1),
    "planks": lambda: _planks(32),
    "wood": lambda: _coloured(np.exp(0.2 * noise(33, 1.0, 5.0)), 34, 0.04),
    "plaster": lambda: _coloured(np.exp(0.05 * noise(35, 0.9)), 36, 0.03),
    "carpet": lambda: _coloured(np.exp(0.22 * noise(37, 0.3) + 0.1 * noise(38, 1.2)), 39, 0.06),
    "fabric": _fabric,
    "tiles": _tiles,
    "books": _books,
    "facade0": lambda: _facade(70),
    "facade1": lambda: _facade(71),
    "facade2": lambda: _facade(72),
    "foliage_far": lambda: _relative(_coloured(np.exp(0.9 * noise(80, 0.6)), 81, 0.2)),
    "overcast": lambda: _clouds(82, 0.06),
    "clouds": lambda: _clouds(83, 0.25),
}


@cache
def material(name: str) -> Pyramid:
    """Return the tileable pyramid of a named material, three channels in linear light, mean near
    1."""
    return pyramid(MATERIALS[name]())
