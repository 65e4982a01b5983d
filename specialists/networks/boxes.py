"""What the networks on boxes share: layers with weight normalisation, a GRU, and which boxes are there.

B batch, K boxes, L words, E and H inputs and outputs of the GRU; G = 3 H: its gates r z n
"""

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from specialists.networks.portable import Linear, applies

ACTIVATIONS = {"relu": nn.ReLU, "swish": nn.SiLU}


class Question(nn.Module):
    """Word embedding and GRU: its output at every word (B, L, H).

    Padding is to the right, so the GRU reaches it after the outputs that are read.
    """

    def __init__(self, words, embedding, size):
        super().__init__()
        self.embedding = nn.Embedding(words, embedding, padding_idx=0)
        if (vectors := getattr(words, "vectors", None)) is not None:
            if vectors.shape != self.embedding.weight.shape:
                raise ValueError(f"embedding: {embedding}; the vectors of words have {vectors.shape[1]}")
            self.embedding.weight.data.copy_(vectors)
        self.gru = GRU(embedding, size)

    def forward(self, tokens_BL):
        return self.gru(self.embedding(tokens_BL))


class GRU(nn.Module):
    """One layer, batch first, from a state of zeros; of equal bits everywhere, like portable.py's."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.of_input, self.of_state = Linear(inputs, 3 * outputs), Linear(outputs, 3 * outputs)
        for weight in self.parameters():
            nn.init.uniform_(weight, -(outputs**-0.5), outputs**-0.5)

    def forward(self, x_BLE):
        h_BH = x_BLE.new_zeros(len(x_BLE), self.of_state.in_features)
        if not applies(x_BLE):
            layers = self.of_input, self.of_state
            weights = [each.weight for each in layers] + [each.bias for each in layers]
            return torch.gru(x_BLE, h_BH.unsqueeze(0), weights, True, 1, 0.0, False, False, True)[0]
        outputs = []
        for gates_BG in self.of_input(x_BLE.transpose(0, 1)):
            state_BG = self.of_state(h_BH)
            r_BH, z_BH, n_BH = gates_BG.chunk(3, 1)
            r_state_BH, z_state_BH, n_state_BH = state_BG.chunk(3, 1)
            n_BH = torch.tanh(n_BH + (r_BH + r_state_BH).sigmoid() * n_state_BH)
            h_BH = n_BH + (z_BH + z_state_BH).sigmoid() * (h_BH - n_BH)
            outputs.append(h_BH)
        return torch.stack(outputs, 1)


def last(output_BLH, length_B):
    """The output at the last word of each question."""
    return output_BLH[torch.arange(len(length_B), device=length_B.device), length_B - 1]


def normal(inputs, outputs):
    """A linear layer whose weight is a direction times one length."""
    return weight_norm(Linear(inputs, outputs), dim=None)


def normal_relu(inputs, outputs):
    return nn.Sequential(normal(inputs, outputs), nn.ReLU())


def classifier(inputs, hidden, answers, activation, dropout):
    """Its activation, and the dropout that goes with it, are a tactic of the slides."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: {activation!r} is unknown; known: {', '.join(ACTIVATIONS)}")
    layers = normal(inputs, hidden), ACTIVATIONS[activation](), nn.Dropout(dropout), normal(hidden, answers)
    return nn.Sequential(*layers)


def present(box_BK4):
    """Which boxes are there: padding has no extent."""
    return box_BK4[..., 2] > box_BK4[..., 0]


def seen(there_BK):
    """What is added to logits of attention, so that padding gets none of it."""
    return torch.where(there_BK, 0.0, -torch.inf)
