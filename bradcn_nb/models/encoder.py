"""The hybrid encoder of Section III-A: a ResNet for detail, a ViT for the whole picture."""

from functools import partial

import torch
import torch.nn.functional as F
from timm.layers import GroupNormAct, StdConv2dSame
from timm.models.resnetv2 import ResNetV2
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from bradcn_nb.models.blocks import Reassemble, conv3x3
from bradcn_nb.presets import ModelConfig


class HybridEncoder(nn.Module):
    """ResNet + ViT with four taps, each reassembled (DPT-Hybrid, BRViT).

    `forward(image)`: (N, 3, H, W) gives Eo of Eq. 1, four maps
    (N, cfg.features, H / s, W / s), s = cfg.strides.
    """

    def __init__(self, cfg: ModelConfig):
        super().__init__()
        dim, (fine, middle, coarse) = cfg.embed_dim, cfg.stage_widths
        self.cfg = cfg
        self.backbone = resnet(cfg)
        self.proj = nn.Conv2d(coarse, dim, kernel_size=1)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, cfg.tokens, dim))
        self.blocks = vit_blocks(cfg)
        self.reassemble1 = conv3x3(fine, cfg.features)
        self.reassemble2 = conv3x3(middle, cfg.features)
        self.reassemble3 = Reassemble(dim, cfg.features, downsample=1)
        self.reassemble4 = Reassemble(dim, cfg.features, downsample=2)
        init_tokens(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        fine, middle, coarse = resnet_maps(self.backbone, image)
        grid = coarse.shape[-2:]  # h, w
        x = self.proj(coarse).flatten(2).transpose(1, 2)  # (N, h*w, D)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1)
        x = x + position(self.pos_embed, self.cfg.pos_grid, grid)
        taps = []
        for index, block in enumerate(self.blocks):
            x = block(x)  # (N, 1 + h*w, D)
            if index in self.cfg.vit_taps:
                taps.append(x)
        return [
            self.reassemble1(fine),
            self.reassemble2(middle),
            self.reassemble3(taps[0], grid),
            self.reassemble4(taps[1], grid),
        ]


def position(embedding: Tensor, stored: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Return the position embedding for h x w tokens, (1, 1 + h*w, D).

    `embedding`: the one for a `stored` grid (rows, columns). It is resized bilinearly without
    antialiasing, as DPT does (ledger id "pos-resize"); the class token's stays.
    """
    if tuple(grid) == stored:
        return embedding
    cls, places = embedding[:, :1], embedding[:, 1:]
    places = places.transpose(1, 2).unflatten(2, stored)  # (1, D, h0, w0)
    places = F.interpolate(places, size=grid, mode="bilinear", align_corners=False)
    return torch.cat((cls, places.flatten(2).transpose(1, 2)), dim=1)  # (1, 1 + h*w, D)


def resnet(cfg: ModelConfig) -> ResNetV2:
    """Build BiT's ResNet: weight-standardised convolutions, each followed by group norm."""
    built = ResNetV2(
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
        built.stem.pool = nn.Identity()
    return built


def resnet_maps(backbone: ResNetV2, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the maps after the ResNet's three stages, fine to coarse, of (N, 3, H, W)."""
    fine = backbone.stages[0](backbone.stem(image))  # (N, C1, H / s1, W / s1)
    middle = backbone.stages[1](fine)  # (N, C2, H / s2, W / s2)
    return fine, middle, backbone.stages[2](middle)  # (N, C3, H / s3, W / s3)


def vit_blocks(cfg: ModelConfig) -> nn.ModuleList:
    """Return the ViT's blocks; the final norm and classifier are left out, as nothing uses them."""
    norm = partial(nn.LayerNorm, eps=1e-6)
    return nn.ModuleList(
        Block(cfg.embed_dim, cfg.vit_heads, qkv_bias=True, norm_layer=norm)
        for _ in range(cfg.vit_depth)
    )


def init_tokens(encoder: HybridEncoder) -> None:
    """Initialise class token, position embedding and the ViT's linear layers as timm does."""
    nn.init.trunc_normal_(encoder.pos_embed, std=0.02)
    nn.init.normal_(encoder.cls_token, std=1e-6)
    for module in encoder.blocks.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
