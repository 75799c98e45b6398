"""Identity: the photograph itself, the floor that every method of Table I has to leave behind."""

from torch import Tensor, nn

from bradcn_nb.models.bradcn import BRADCNOutput


class Identity(nn.Module):
    """`forward(image)`: (N, 3, H, W) gives the same picture as a BRADCNOutput; nothing is
    learnt."""

    def forward(self, image: Tensor) -> BRADCNOutput:
        return BRADCNOutput(image, None, None)
