"""Small eyes that learn from questions about pictures and their answers, where nothing else is known.

They learn as part of a network that answers by what they see, and that is thrown away afterwards.

N pictures, Q questions, B batch, H W pixels, X cells, L words
"""

import torch
from tqdm import trange

from specialists.answers import votes
from specialists.base.runtime import precision
from specialists.networks import butd
from specialists.training.budget import Budget

WARMUP = 0.1  # of all steps
SIZES = {"embedding": 64, "question": 128, "hidden": 128, "classifier_hidden": 256, "dropout": 0.2}


def learn(eyes, cells, image_NHW3, asked, shape, settings):
    """Teach eyes by `asked`: (place of the picture, tokens_QL, length_Q, target_Q2A).

    `cells` turns a map into boxes for a network, `shape` is what such data tell the network.
    """
    channels, words, answers = shape
    network = butd.Network(channels, words, answers, activation="relu", attention_dropout=0.0, **SIZES)
    both = torch.nn.ModuleList([eyes, network]).train()
    both.to(memory_format=torch.channels_last)
    budget = Budget(epochs=1, batch=settings.batch, lr=settings.lr, warmup=WARMUP)
    optimizer, box_14 = budget.make(both), torch.tensor([0.0, 0.0, 1.0, 1.0])
    for step in trange(settings.steps, desc="eyes", disable=None):
        chosen_B = torch.randint(len(asked[0]), (settings.batch,))
        place_B, tokens_BL, length_B, target_B2A = (each[chosen_B] for each in asked)
        with precision():
            feature_BXF = cells(eyes(image_NHW3[place_B])).float()
            box_BX4 = box_14.expand(*feature_BXF.shape[:2], 4)
            said_BC = network(feature_BXF, box_BX4, tokens_BL[:, : int(length_B.max())], length_B).float()
        loss = votes.loss(said_BC, target_B2A).mean()
        budget.pace(optimizer, step / settings.steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if not loss.isfinite():
        raise ValueError(f"lr: {settings.lr} is too large: the loss became {loss.item()}")
    eyes.eval().requires_grad_(False)
