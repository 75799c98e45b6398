"""The Render Net (Section III-A): BRViT, that is DPT-Hybrid with a head of three channels."""

from torch import Tensor

from bradcn_nb.models.blocks import (
    Decoder,
    add_maps,
    check_image,
    mix_input,
    smoothed,
    start_near_input,
)
from bradcn_nb.models.encoder import HybridEncoder
from bradcn_nb.models.hub import HubNet
from bradcn_nb.presets import ModelConfig


class RenderNet(HubNet):
    """Redraw a sharp picture with bokeh.

    `forward(image, extra=None)`: image (N, 3, H, W) in [0, 1] gives a picture of the same shape,
    not clamped. `extra` are four maps that are added to the encoder's: the sums of Eq. 1 and Eq.
    3. Raises SizeError unless H and W are multiples of `cfg.stride`.

    With `cfg.skip` the net mixes its input into the result, pixel by pixel: sharp where its fourth
    channel says so, elsewhere smoothed and corrected by what it draws (ledger id "mini-skip").
    """

    def __init__(self, cfg: ModelConfig):
        super().__init__(cfg)
        self.skip = cfg.skip
        self.stride = cfg.stride
        self.smooth = 2 * cfg.strides[0] + 1  # pixels; finer detail than this no map can hold
        self.encoder = HybridEncoder(cfg)
        self.decoder = Decoder(cfg, out_channels=4 if cfg.skip else 3)
        if cfg.skip:
            start_near_input(self.decoder.head[-1])

    def encode(self, image: Tensor) -> list[Tensor]:
        """Return Eo of Eq. 1: four maps (N, features, H / s, W / s), s = cfg.strides."""
        check_image(image, self.stride)
        return self.encoder(image)

    def decode(self, maps: list[Tensor], image: Tensor) -> Tensor:
        """Draw the picture (N, 3, H, W) from the decoder's maps, DI of Eq.
        3."""
        drawn = self.decoder(maps)
        return mix_input(drawn, image, self.smooth) if self.skip else drawn

    def smoothed(self, image: Tensor) -> Tensor:
        """Return the mean over squares of `self.smooth` pixels; keeps the shape (N, 3, H, W)."""
        return smoothed(image, self.smooth)

    def forward(self, image: Tensor, extra: list[Tensor] | None = None) -> Tensor:
        maps = self.encode(image)
        if extra is not None:
            maps = add_maps(maps, extra)
        return self.decode(maps, image)
