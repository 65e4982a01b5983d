"""The map of some eyes as boxes: each cell is one, and its features end with its place.

B images, R rows and C columns of cells (X in a line), F channels
"""

import numpy as np
import torch

from specialists.base.files import write_json
from specialists.data.vqa2.store import FILES

PLACE = 2  # channels: down and across, from -1 to 1


def corners(grid):
    """box_X4: x1 y1 x2 y2 of each cell, as shares of the picture."""
    rows, columns = grid
    y_X, x_X = (each.ravel() for each in np.indices(grid))
    box_4X = x_X / columns, y_X / rows, (x_X + 1) / columns, (y_X + 1) / rows
    return np.stack(box_4X, 1).astype(np.float32)


def cells(map_BRCF):
    """The features of boxes, (B, X, F + PLACE)."""
    box_X4 = torch.from_numpy(corners(map_BRCF.shape[1:3]))
    place_X2 = (box_X4[:, [1, 0]] + box_X4[:, [3, 2]] - 1).to(map_BRCF.dtype)
    return torch.cat([map_BRCF.flatten(1, 2), place_X2.expand(len(map_BRCF), -1, -1)], 2)


def write(folder, ids, eyes, maps):
    """A store as of store.py, of pictures with these ids, from the `maps` of some eyes, some at a time."""
    folder.mkdir()
    box_X4 = corners(eyes.grid)
    with open(folder / "features.f16", "wb") as file:
        for map_BRCF, _ in maps:
            file.write(cells(torch.from_numpy(map_BRCF)).numpy().tobytes())
    count, pictures = len(box_X4), len(ids)
    rows_I3 = np.stack([ids, np.arange(pictures) * count, np.full(pictures, count)], 1)
    for name, values in (("boxes.f32", np.tile(box_X4, (pictures, 1))), ("images.i64", rows_I3)):
        np.ascontiguousarray(values, FILES[name]).tofile(folder / name)
    meta = {"channels": eyes.channels + PLACE, "images": pictures, "boxes": pictures * count}
    write_json(folder / "meta.json", meta)
