"""DPT-Hybrid as its authors organised it: what our nets are compared with, for values and for
speed.

Only `bench` and the tests use it. It owns all of timm's ViT and listens to it with hooks, enlarges
before the 1x1 convolutions, and keeps the weights that no output depends on. Its state dict has
exactly the official names, so official files load into it as they are.
"""

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bradcn_nb.presets import preset

_PATCH = 16  # pixels per token, in both directions
_GRID = 24  # tokens per row and column of the stored position embedding


class OriginalDPT(nn.Module):
    """DPT-Hybrid for depth (`out_channels` 1) or BRViT (3), at full size with random weights.

    `forward(image)`, with H and W multiples of 32:

    * 1 channel: image (N, 3, H, W) in [-1, 1], since the caller normalises; gives depth in metres
      (N, H, W), with the scale and shift of the NYUv2 checkpoint;
    * 3 channels: image (N, 3, H, W) in [0, 1] gives a picture of the same shape, not clamped.

    Source: Ranftl et al. (2021), and their code at github.com/isl-org/DPT; Nagasubramaniam and
    Younes (2022) for BRViT.
    """

    def __init__(self, out_channels: int):
        super().__init__()
        nyu = preset("paper").model
        self.scale, self.shift = nyu.depth_scale, nyu.depth_shift
        self.metric = out_channels == 1
        self.seen: dict[str, Tensor] = {}  # what the hooks heard in the last forward pass
        self.pretrained = _pretrained(self.seen)
        self.scratch = _scratch(out_channels)

    def forward(self, image: Tensor) -> Tensor:
        scratch = self.scratch
        maps = self._maps(image)
        path = scratch.refinenet4(scratch.layer4_rn(maps[3]))
        path = scratch.refinenet3(path, scratch.layer3_rn(maps[2]))
        path = scratch.refinenet2(path, scratch.layer2_rn(maps[1]))
        path = scratch.refinenet1(path, scratch.layer1_rn(maps[0]))
        out = scratch.output_conv(path)
        if not self.metric:
            return out
        depth = self.scale * out.squeeze(1) + self.shift
        depth[depth < 1e-8] = 1e-8
        return 1 / depth

    def _maps(self, image: Tensor) -> list[Tensor]:
        """Return the four tapped maps: /4, /8, /16 and /32 of the image, 256 to 768 channels."""
        height, width = image.shape[-2:]
        self._run_vit(image)
        unflatten = nn.Unflatten(2, (height // _PATCH, width // _PATCH))
        maps = []
        for tap in (1, 2, 3, 4):
            steps = getattr(self.pretrained, f"act_postprocess{tap}")
            x = steps[0:2](self.seen[str(tap)])
            if x.ndim == 3:  # (N, D, h*w) -> (N, D, h, w)
                x = unflatten(x)
            maps.append(steps[3:](x))
        return maps

    def _run_vit(self, image: Tensor) -> None:
        """Run timm's ViT to its end for a picture of any size; the hooks keep what is needed."""
        vit = self.pretrained.model
        rows, columns = (side // _PATCH for side in image.shape[-2:])
        cls, grid = vit.pos_embed[:, :1], vit.pos_embed[0, 1:]
        grid = grid.reshape(1, _GRID, _GRID, -1).permute(0, 3, 1, 2)  # (1, D, 24, 24)
        grid = F.interpolate(grid, size=(rows, columns), mode="bilinear", align_corners=False)
        grid = grid.permute(0, 2, 3, 1).reshape(1, rows * columns, -1)

        x = vit.patch_embed.backbone(image)  # (N, 1024, h, w)
        x = vit.patch_embed.proj(x).flatten(2).transpose(1, 2)  # (N, h*w, D)
        x = torch.cat((vit.cls_token.expand(len(x), -1, -1), x), dim=1)  # (N, 1 + h*w, D)
        x = x + torch.cat((cls, grid), dim=1)
        for block in vit.blocks:
            x = block(x)
        vit.norm(x)  # DPT's code computes it too, and uses it as little


class _Readout(nn.Module):
    """Hand the class token to every place: (N, 1 + h*w, D) to (N, h*w, D)."""

    def __init__(self, dim: int):
        super().__init__()
        self.project = nn.Sequential(nn.Linear(2 * dim, dim), nn.GELU())

    def forward(self, tokens: Tensor) -> Tensor:
        places = tokens[:, 1:]
        cls = tokens[:, 0].unsqueeze(1).expand_as(places)
        return self.project(torch.cat((places, cls), dim=-1))


class _Transpose(nn.Module):
    """(N, h*w, D) to (N, D, h*w)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


class _ResidualUnit(nn.Module):
    def __init__(self, features: int):
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(features, features, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.relu(self.conv1(F.relu(x)))) + x


class _Fusion(nn.Module):
    """RefineNet's block; the coarsest is called without `skip`, and its first unit stays unused."""

    def __init__(self, features: int):
        super().__init__()
        self.out_conv = nn.Conv2d(features, features, kernel_size=1)
        self.resConfUnit1 = _ResidualUnit(features)
        self.resConfUnit2 = _ResidualUnit(features)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        if skip is not None:
            x = x + self.resConfUnit1(skip)
        x = self.resConfUnit2(x)
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return self.out_conv(x)


def _pretrained(seen: dict[str, Tensor]) -> nn.Module:
    """Return timm's ViT, listened to at four places, and the steps that make its tokens maps."""
    module = nn.Module()
    module.model = timm.create_model("vit_base_r50_s16_384", pretrained=False)
    stages, blocks = module.model.patch_embed.backbone.stages, module.model.blocks
    for name, tapped in zip("1234", (stages[0], stages[1], blocks[8], blocks[11]), strict=True):
        tapped.register_forward_hook(
            lambda _module, _inputs, output, name=name: seen.__setitem__(name, output)
        )
    dim = module.model.embed_dim
    module.act_postprocess1 = nn.Sequential(nn.Identity(), nn.Identity(), nn.Identity())
    module.act_postprocess2 = nn.Sequential(nn.Identity(), nn.Identity(), nn.Identity())
    for tap in (3, 4):
        unflatten = nn.Unflatten(2, (_GRID, _GRID))  # its place counts; `_maps` brings its own
        steps = [_Readout(dim), _Transpose(), unflatten, nn.Conv2d(dim, dim, kernel_size=1)]
        if tap == 4:
            steps.append(nn.Conv2d(dim, dim, kernel_size=3, stride=2, padding=1))
        setattr(module, f"act_postprocess{tap}", nn.Sequential(*steps))
    return module


def _scratch(out_channels: int) -> nn.Module:
    """Return the decoder: four 3x3 convolutions to 256 channels, four fusion blocks, the head."""
    module, features = nn.Module(), 256
    for level, width in enumerate((256, 512, 768, 768), start=1):
        narrow = nn.Conv2d(width, features, kernel_size=3, padding=1, bias=False)
        setattr(module, f"layer{level}_rn", narrow)
        setattr(module, f"refinenet{level}", _Fusion(features))
    module.output_conv = nn.Sequential(
        nn.Conv2d(features, 128, kernel_size=3, padding=1),
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        nn.Conv2d(128, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, out_channels, kernel_size=1),
        nn.ReLU() if out_channels == 1 else nn.Identity(),
    )
    return module
