"""A large array as .npy files, of which all but the last have equally many rows: NAME.npy, NAME1.npy, ...

Rows are read at random by several threads. No row is mapped: pages of a map are fetched one after another,
when they are touched, and a map as large as the array needs as much memory before Linux grants it.

B rows asked for
"""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import count, takewhile
from math import prod
from pathlib import Path
from weakref import finalize

import numpy as np
import torch

READERS = 2 * os.cpu_count()


def name(path, index):
    """The file of a shard: the first has the name of the array."""
    return path.with_stem(f"{path.stem}{index or ''}")


class Shards:
    def __init__(self, path):
        paths = [path, *takewhile(Path.exists, (name(path, index) for index in count(1)))]
        headers = [np.load(each, mmap_mode="r") for each in paths]
        self.lengths, (first, *_) = [len(each) for each in headers], headers
        same = {(each.shape[1:], each.dtype, each.flags.c_contiguous) for each in headers}
        if len(same) > 1 or {*self.lengths[:-1]} - {len(first)} or self.lengths[-1] > len(first):
            raise ValueError(f"{path.stem}*.npy do not belong together")
        self.shape, self.dtype = (sum(self.lengths), *first.shape[1:]), first.dtype
        self.starts, self.size = [each.offset for each in headers], prod(first.shape[1:]) * first.itemsize
        self.paths, self.files = paths, [os.open(each, os.O_RDONLY) for each in paths]
        for file in self.files:
            finalize(self, os.close, file)
        self.rows, self.readers = torch.arange(len(self)), ThreadPoolExecutor(READERS)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, row_B):
        """Some rows, by their numbers or as a slice."""
        row_B = self.rows[row_B].tolist()
        found = np.empty((len(row_B), *self.shape[1:]), self.dtype)
        parts = [range(first, len(row_B), READERS) for first in range(READERS)]
        for _ in self.readers.map(lambda part: [self.read(row_B[i], found[i]) for i in part], parts):
            pass
        return torch.from_numpy(found)

    def read(self, row, place):
        shard, row = divmod(row, self.lengths[0])
        if os.preadv(self.files[shard], [place], self.starts[shard] + row * self.size) < self.size:
            raise ValueError(f"{self.paths[shard]}: ends before the end of row {row}; make it again")
