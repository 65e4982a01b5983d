"""What mlp.py and san.py share: the trained stem on frozen image features, and the question's LSTM.

B batch, L words, R cells, H x W the grid of cells, F channels, D the question's size
"""

import torch
from torch import nn

from specialists.networks.portable import LSTM


class Stem(nn.Module):
    """Residual bottleneck blocks (F - width - F) that adapt frozen features to the data (section 4.1)."""

    def __init__(self, grid, channels, blocks, width):
        super().__init__()
        if blocks < 0 or width < 1:
            raise ValueError(f"blocks {blocks} and width {width} must be at least 0 and 1")
        self.grid = grid
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, width, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.Conv2d(width, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.Conv2d(width, channels, 1, bias=False),
                nn.BatchNorm2d(channels),
            )
            for _ in range(blocks)
        )

    def forward(self, image_BRF):
        """(B, R, F) -> (B, R, F): cells stay last but one, which is channels_last to the convolutions."""
        image_BFHW = image_BRF.unflatten(1, self.grid).permute(0, 3, 1, 2)
        for block in self.blocks:
            image_BFHW = torch.relu(image_BFHW + block(image_BFHW))
        return image_BFHW.permute(0, 2, 3, 1).flatten(1, 2)


class Question(nn.Module):
    """Word embedding and LSTM: its output at the last word (the paper) or the mean over words."""

    def __init__(self, words, embedding, size, pool):
        super().__init__()
        if pool not in ("last", "mean"):
            raise ValueError(f"pool: {pool!r} is unknown; known: last, mean")
        self.embedding = nn.Embedding(words, embedding, padding_idx=0)
        self.lstm = LSTM(embedding, size)
        self.pool = pool

    def forward(self, tokens_BL, length_B):
        # Padding is to the right, so the LSTM reaches it after the outputs that are read.
        output_BLD, _ = self.lstm(self.embedding(tokens_BL))
        if self.pool == "mean":
            return (output_BLD * (tokens_BL > 0).unsqueeze(2)).sum(1) / length_B.unsqueeze(1)
        return output_BLD[torch.arange(len(length_B), device=length_B.device), length_B - 1]
