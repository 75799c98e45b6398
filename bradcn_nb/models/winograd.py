"""A 3x3 convolution with a quarter of the multiplications: Winograd's minimal filtering, F(4x4, 3x3).

Cut the input into overlapping tiles of 6x6 that each give 4x4 outputs. A convolution is a product of
polynomials, and polynomials may be multiplied point by point: evaluate both at six points, multiply
there, interpolate back. That is 36 products a tile where the sum over the kernel takes 144.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TILE, KERNEL = 4, 3
WINDOW = TILE + KERNEL - 1
# Five points; the sixth is infinity. Halves and twos are exact in floating point, and these lose
# less to rounding than the usual 0, 1, -1, 2, -2 (Barabasz et al. 2020).
POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)
CHUNK_BYTES = 2_000_000  # of transformed tiles: they are to stay in the processor's cache


@cache
def transforms() -> tuple[Tensor, Tensor, Tensor]:
    """Return the matrices A (6, 4), G (6, 3) and B (6, 6) of Lavin and Gray, float64.

    For a row d of six inputs and a kernel g of three: A^T ((G g) * (B^T d)) are the four outputs of
    the correlation of d with g. Source: Lavin and Gray 2016, built by Toom and Cook's rule.
    """
    points = torch.tensor(POINTS, dtype=torch.float64, device="cpu")

    def evaluate(coefficients: int) -> Tensor:
        """The matrix that evaluates a polynomial at the points; at infinity, its last coefficient."""
        powers = points[:, None] ** torch.arange(coefficients, device="cpu")
        at_infinity = torch.eye(coefficients, dtype=torch.float64, device="cpu")[-1:]
        return torch.cat((powers, at_infinity))

    return evaluate(TILE), evaluate(KERNEL), torch.linalg.inv(evaluate(WINDOW))


class WinogradConv(nn.Module):
    """A 3x3 convolution with stride 1 and padding 1, for inference; same shapes and values.

    `forward(x)`: (N, C, H, W) gives (N, C', H, W), channels last. Rounding errors are some ten times
    those of the direct sum, about 1e-5 of the output's spread.
    """

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        a, g, b = transforms()
        kernels = torch.einsum("ia,ocab,jb->ijco", g, conv.weight.double(), g)
        self.register_buffer("kernels", kernels.flatten(0, 1).float())  # (36, C, C')
        self.register_buffer("into", torch.kron(b.T, b.T).float())  # (36, 36)
        self.register_buffer("back", a.T.float().contiguous())  # (4, 6)
        self.bias = conv.bias

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        rows, columns = -(-height // TILE), -(-width // TILE)
        below, right = rows * TILE - height + 1, columns * TILE - width + 1
        x = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, right, 1, below)).contiguous()
        out = x.new_empty(n, rows, TILE, columns, TILE, self.kernels.shape[-1])
        step = max(1, CHUNK_BYTES // (4 * WINDOW**2 * n * columns * channels))
        for row in range(0, rows, step):
            part = out[:, row : row + step]
            part.copy_(self._rows(x[:, row * TILE :], part.shape[1], columns))
        out = out.view(n, rows * TILE, columns * TILE, -1)[:, :height, :width]
        return out.permute(0, 3, 1, 2)

    def _rows(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """Return some rows of tiles (N, rows, 4, columns, 4, C') of the padded x (N, H, W, C)."""
        n, _, _, channels = x.shape
        image, down, across, _ = x.stride()
        tiles = x.as_strided(
            (WINDOW, WINDOW, n, rows, columns, channels),
            (down, across, image, TILE * down, TILE * across, 1),
        )
        tiles = self.into @ tiles.reshape(WINDOW**2, -1)  # both directions at once
        products = torch.bmm(tiles.view(WINDOW**2, -1, channels), self.kernels)  # (36, tiles, C')
        y = self.back @ products.view(WINDOW, -1)  # one direction, (4, 6 * tiles * C')
        y = self.back @ y.view(TILE, WINDOW, -1)  # the other, (4, 4, tiles * C')
        y = y.view(TILE, TILE, n, rows, columns, -1).permute(2, 3, 0, 4, 1, 5)
        return y if self.bias is None else y + self.bias
