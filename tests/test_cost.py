"""What an answer costs, against arithmetic by hand."""

import torch
from torch import nn

from specialists.networks import portable
from specialists.tables import cost


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.out = portable.LSTM(3, 5), portable.Linear(5, 2)

    def forward(self, x):
        return self.out(self.lstm(x)[0][:, -1])


def test_parameters_are_counted():
    assert cost.parameters(Both()) == 4 * 5 * (3 + 5 + 2) + 5 * 2 + 2


def test_operations_of_an_lstm_and_a_matrix():
    """Seven words, four gates of 5 from 3 inputs and 5 states; then 5 x 2; two operations per product."""
    before = torch.backends.mkldnn.enabled
    found = cost.flops(Both().eval(), torch.zeros(1, 7, 3))
    assert found == 2 * (7 * 4 * 5 * (3 + 5) + 5 * 2)
    assert torch.backends.mkldnn.enabled == before


def test_operations_of_a_convolution():
    found = cost.flops(nn.Conv2d(3, 4, 3, padding=1), torch.zeros(2, 3, 6, 6))
    assert found == 2 * 2 * 4 * 36 * 3 * 9


def test_latency_is_the_median_of_a_pass_in_milliseconds():
    class Slow(nn.Module):
        calls = 0

        def forward(self, x):
            torch.nn.functional.relu(x)
            Slow.calls += 1
            return x

    assert 0 < cost.latency(Slow(), torch.zeros(1), repeats=5) < 1000
    assert Slow.calls == 10
