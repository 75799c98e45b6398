"""The hybrid encoder of Section III-A: a ResNet for detail, a ViT for the whole picture."""

from functools import partial

import torch
import torch.nn.functional as F
from timm.layers import GroupNormAct, StdConv2dSame
from timm.models.resnetv2 import ResNetV2
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from bradcn_nb.models.blocks import Reassemble, run_segment
from bradcn_nb.presets import ModelConfig


class HybridEncoder(nn.Module):
    """ResNet + ViT with four taps, each reassembled to `cfg.features` channels (DPT-Hybrid, BRViT).

    `forward(image)`: (N, 3, H, W) gives Eo of Eq. 1, four maps (N, features, H / s, W / s) with
    s = cfg.strides. With the `paper` preset it is timm's `vit_base_r50_s16_384` up to the last ViT
    block; its final norm and classifier are left out because nothing after the taps uses them.
    """

    def __init__(self, cfg: ModelConfig):
        super().__init__()
        dim = cfg.embed_dim
        self.taps = cfg.vit_taps
        self.pos_grid = cfg.pos_grid
        self.checkpointing = False  # of the ViT; the backbone has its own switch
        self._resized: dict[tuple[int, int], tuple[tuple, Tensor]] = {}

        self.backbone = _resnet(cfg)
        self.proj = nn.Conv2d(cfg.stage_widths[-1], dim, kernel_size=1)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + cfg.pos_grid[0] * cfg.pos_grid[1], dim))
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.blocks = nn.ModuleList(
            Block(dim, cfg.vit_heads, qkv_bias=True, norm_layer=norm) for _ in range(cfg.vit_depth)
        )

        fine, middle, _ = cfg.stage_widths
        self.reassemble1 = nn.Conv2d(fine, cfg.features, kernel_size=3, padding=1, bias=False)
        self.reassemble2 = nn.Conv2d(middle, cfg.features, kernel_size=3, padding=1, bias=False)
        self.reassemble3 = Reassemble(dim, cfg.features, downsample=1)
        self.reassemble4 = Reassemble(dim, cfg.features, downsample=2)

        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)
        self.blocks.apply(_init_linear)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = run_segment(self.backbone.stem, image, forget=self.checkpointing)
        fine = self.backbone.stages[0](x)  # (N, C1, H / s1, W / s1)
        middle = self.backbone.stages[1](fine)  # (N, C2, H / s2, W / s2)
        coarse = self.backbone.stages[2](middle)  # (N, C3, h, w), h = H / s3 and w = W / s3

        grid = (coarse.shape[-2], coarse.shape[-1])
        x = self.proj(coarse).flatten(2).transpose(1, 2)  # (N, D, h, w) -> (N, h*w, D)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1)  # (N, 1 + h*w, D)
        x = x + self.position(grid)
        tapped = []
        for index, block in enumerate(self.blocks):
            x = run_segment(block, x, forget=self.checkpointing)
            if index in self.taps:
                tapped.append(x)

        return [
            self.reassemble1(fine),
            self.reassemble2(middle),
            self.reassemble3(tapped[0], grid),
            self.reassemble4(tapped[1], grid),
        ]

    def position(self, grid: tuple[int, int]) -> Tensor:
        """Return the position embedding for h x w tokens, (1, 1 + h*w, D).

        Resized bilinearly without antialiasing, as DPT does (ledger id "pos-resize"). Without
        gradients the result is kept, one for each size, until the stored embedding changes.
        """
        if grid == self.pos_grid:
            return self.pos_embed
        stored, compiling = self.pos_embed, torch.compiler.is_compiling()
        if compiling or torch.is_grad_enabled() or stored.is_meta or stored.is_inference():
            if not compiling:
                # A step may follow, and a fused optimiser's does not count as a version.
                self._resized.clear()
            return self._resize(grid)
        # The version counts other changes in place, such as weights that were read.
        state = (stored.data_ptr(), stored._version, stored.dtype)
        if (kept := self._resized.get(grid)) is None or kept[0] != state:
            kept = self._resized[grid] = (state, self._resize(grid))
        return kept[1]

    def _resize(self, grid: tuple[int, int]) -> Tensor:
        cls, places = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        places = places.transpose(1, 2).unflatten(2, self.pos_grid)  # (1, D, h0, w0)
        places = F.interpolate(places, size=grid, mode="bilinear", align_corners=False)
        return torch.cat((cls, places.flatten(2).transpose(1, 2)), dim=1)  # (1, 1 + h*w, D)


def _resnet(cfg: ModelConfig) -> ResNetV2:
    """Build BiT's ResNet: weight-standardised convolutions, each followed by group norm."""
    resnet = ResNetV2(
        layers=list(cfg.stage_layers),
        channels=cfg.stage_widths,
        stem_chs=cfg.stem_width,
        num_classes=0,
        global_pool="",
        preact=False,
        stem_type="same",
        conv_layer=partial(StdConv2dSame, eps=1e-8),
        norm_layer=partial(GroupNormAct, num_groups=cfg.norm_groups),
    )
    if cfg.strides[0] == 2:  # the stem's max-pool would halve the size once more
        resnet.stem.pool = nn.Identity()
    return resnet


def _init_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
