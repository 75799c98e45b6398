"""PSNR, SSIM, LPIPS and the protocol `val294`, as BRViT and DMSHN measure (Sections IV-C, IV-F)."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from bradcn_nb.data.files import resize_picture
from bradcn_nb.errors import BradcnError, SizeError
from bradcn_nb.evaluation.lpips import lpips_net, to_lpips
from bradcn_nb.evaluation.matching import matched

PSNR_CAP = 100.0  # dB; identical pictures have +inf, which neither a mean nor JSON can hold
# The window of SSIM: scikit-image's default, and the one of the paper that introduced SSIM.
SSIM_WINDOWS = {
    "uniform": {"win_size": 7},
    "gaussian": {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
}
SSIM_SIDES = {"uniform": 7, "gaussian": 11}  # pixels


def to_uint8(picture: torch.Tensor) -> np.ndarray:
    """A (3, H, W) or (1, 3, H, W) picture in [0, 1] as uint8 (H, W, 3), clamped, halves rounded up.

    Raises BradcnError if it holds NaN or infinity, and SizeError for other shapes.
    """
    if picture.ndim == 4 and picture.shape[0] == 1:
        picture = picture[0]
    if picture.ndim != 3 or picture.shape[0] != 3:
        raise SizeError(f"one picture must be (3, H, W), not {tuple(picture.shape)}; pick one")
    if not torch.isfinite(picture).all():
        raise BradcnError("the picture holds NaN or infinity; check the weights that made it")
    values = picture.detach().float().clamp(0, 1).mul(255).add(0.5).floor().to(torch.uint8)
    return np.ascontiguousarray(values.permute(1, 2, 0).cpu().numpy())


def eight_bit(picture: np.ndarray) -> np.ndarray:
    """Return a float picture (H, W, 3) in [0, 1] as uint8, by `to_uint8`."""
    return to_uint8(torch.from_numpy(picture.transpose(2, 0, 1)))


def val294(prediction: torch.Tensor, height: int, width: int) -> np.ndarray:
    """Protocol `val294`: a prediction as it is judged, uint8 (`height`, `width`, 3).

    `prediction` is (3, h, w) or (1, 3, h, w) in [0, 1]; it is resized to the truth's native size by
    bilinear interpolation (align_corners=False), clamped and rounded.
    Source: Section IV-F ("bilinear interpolation to double the output resolution"); since the real
    test pictures are 1466 to 1725 wide, the factor is not exactly 2. Raises as `to_uint8`.
    """
    if prediction.ndim == 3:
        prediction = prediction[None]
    size = (height, width)
    return to_uint8(
        F.interpolate(prediction.float(), size=size, mode="bilinear", align_corners=False)
    )


def _check(truth: np.ndarray, picture: np.ndarray) -> None:
    for array in (truth, picture):
        if array.dtype != np.uint8 or array.ndim != 3:
            raise TypeError(f"pictures are uint8 (H, W, 3), not {array.dtype} {array.shape}")
    if truth.shape != picture.shape:
        raise SizeError(f"the picture is {picture.shape}, its truth {truth.shape}; resize it first")


def psnr(truth: np.ndarray, picture: np.ndarray) -> float:
    """PSNR in dB of two uint8 (H, W, 3) pictures by scikit-image; +inf if they are identical.

    Raises SizeError if their sizes differ, TypeError if they are not uint8.
    """
    _check(truth, picture)
    if np.array_equal(truth, picture):
        return float("inf")  # what scikit-image gives too, after a warning
    return float(peak_signal_noise_ratio(truth, picture))


def ssim(truth: np.ndarray, picture: np.ndarray, window: str = "uniform") -> float:
    """SSIM of two uint8 (H, W, 3) pictures by scikit-image, the mean of the three channels.

    `window` is "uniform" (7x7, scikit-image's default, as BRViT and DMSHN measure) or "gaussian"
    (sigma 1.5 over 11x11, Wang et al. 2004). Ledger: ssim-window. Raises SizeError if their sizes
    differ or a side is smaller than the window, TypeError if not uint8.
    """
    _check(truth, picture)
    side = SSIM_SIDES[window]
    if min(truth.shape[:2]) < side:
        raise SizeError(
            f"SSIM needs {side} pixels a side, not {truth.shape[:2]}; use larger pictures"
        )
    return float(structural_similarity(truth, picture, channel_axis=-1, **SSIM_WINDOWS[window]))


@torch.inference_mode()
def lpips(
    truth: np.ndarray,
    picture: np.ndarray,
    backbone: str = "alex",
    device: str | torch.device = "cpu",
) -> float:
    """LPIPS v0.1 of two uint8 (H, W, 3) pictures on [-1, 1]; 0 for equal ones, lower is better.

    `backbone` is "alex" or "vgg". Ledger: lpips. Raises WeightsError where there are no weights,
    SizeError if the sizes differ or a side is below 32 pixels, TypeError if not uint8.
    """
    _check(truth, picture)
    net = lpips_net(backbone).to(device)
    return float(net(to_lpips(truth).to(device), to_lpips(picture).to(device)))


@dataclass(frozen=True)
class Protocol:
    """How a picture is judged; the defaults are the protocol `val294` (Sections IV-C, IV-F).

    A prediction is brought to its truth's size by `val294`; then `measure` compares the two. What
    differs from the defaults is a variant, and `describe` names it.
    """

    window: str = "uniform"  # of SSIM
    backbone: str | None = "alex"  # of LPIPS; None: LPIPS is not measured
    lpips_size: tuple[int, int] | None = None  # (h, w) to which LPIPS shrinks both; None: native
    match: str | None = None  # of `matching.MATCHES`: brings the prediction to its truth first

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of what is measured."""
        return ("psnr", "ssim", "lpips") if self.backbone else ("psnr", "ssim")

    def describe(self) -> dict[str, str]:
        """Metric -> how it is measured, in words that tell every variant apart."""
        size = f"{self.lpips_size[1]}x{self.lpips_size[0]}" if self.lpips_size else "native size"
        side = SSIM_SIDES[self.window]
        words = {"psnr": "uint8, dB", "ssim": f"{self.window} {side}x{side}"}
        if self.backbone:
            words["lpips"] = f"v0.1 {self.backbone}, {size}"
        matched_first = f", {self.match} matched" if self.match else ""
        return {metric: how + matched_first for metric, how in words.items()}

    def measure(
        self, truth: np.ndarray, picture: np.ndarray, device: str | torch.device = "cpu"
    ) -> dict[str, float]:
        """Metric -> value of two uint8 (H, W, 3) pictures of one size; PSNR is capped at 100 dB.

        Raises as `psnr`, `ssim`, `lpips` and `matched` do.
        """
        if self.match:
            picture = matched(truth, picture, self.match)
        values = {
            "psnr": min(psnr(truth, picture), PSNR_CAP),
            "ssim": ssim(truth, picture, self.window),
        }
        if self.backbone:
            if self.lpips_size:
                truth, picture = (resize_picture(p, self.lpips_size) for p in (truth, picture))
            values["lpips"] = lpips(truth, picture, self.backbone, device)
        return values
