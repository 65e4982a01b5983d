"""Bottom-up features as the HDF5 that many projects make of the TSV, beside it the places of images.

NAME.hdf5             image_features, and spatial_features, of which the first four are x1 y1 x2 y2 as shares
                      of the image; either (images, 36, ...), or (boxes, ...) with pos_boxes, the first box of
                      each image and the one after its last
NAME_imgid2idx.pkl    a pickled dict, image id -> place; a pickle that asks for more than that is refused
"""

import pickle

import h5py

from specialists.data.pickles import Bounded


def size(path):
    """Images."""
    return len(_places(path))


def images(path, start):
    """Yield (place, image id, boxes as shares of the image, features, number of images so far)."""
    with _opened(path) as file:
        features, spatial, pos = (
            file.get(each) for each in ("image_features", "spatial_features", "pos_boxes")
        )
        if not (_table(features, "fiu") and _table(spatial, "fiu")):
            beside = ", ".join(file) or "nothing"
            raise ValueError(
                f"{path}: image_features or spatial_features: missing, or no table of numbers; found {beside}"
            )
        if features.shape[:-1] != spatial.shape[:-1] or spatial.shape[-1] < 4:
            raise ValueError(
                f"{path}: features {features.shape} and boxes {spatial.shape} do not go together"
            )
        if (features.ndim == 3) == (pos is not None):
            raise ValueError(
                f"{path}: features {features.shape} {'without' if pos is None else 'with'} pos_boxes"
            )
        if pos is not None and not (_table(pos, "iu") and pos.shape[1:] == (2,) and features.ndim == 2):
            raise ValueError(f"{path}: pos_boxes: found {pos!r:.90}, expected two whole numbers an image")
        listed = spatial if pos is None else pos
        for number, (image, at) in enumerate(_places(path)[start:], start):
            place = f"{path}: image {at}"
            if not 0 <= at < len(listed):
                raise ValueError(f"{place}: there is none; the file has images 0 to {len(listed) - 1}")
            first, last = map(int, pos[at]) if pos is not None else (at, at + 1)
            if not 0 <= first < last <= len(features):
                raise ValueError(f"{place}: boxes {first} to {last}, of {len(features)}")
            box, feature = spatial[first:last], features[first:last]
            if pos is None:
                box, feature = box[0], feature[0]
            yield place, image, box[:, :4].astype("f4"), feature.astype("f4"), number + 1


def _table(array, kinds):
    return isinstance(array, h5py.Dataset) and array.dtype.kind in kinds and array.ndim > 1


def _opened(path):
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read as HDF5 ({str(error)[:120]})") from None


def _places(path):
    """(image id, place) in the order of places."""
    beside = path.with_name(f"{path.name.split('.')[0]}_imgid2idx.pkl")
    try:
        with open(beside, "rb") as file:
            found = _Plain(file).load()
    except FileNotFoundError:
        raise ValueError(f"{beside}: not found; it says which image is where in {path.name}") from None
    except Exception as error:  # a parser may raise anything on a foreign file
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{beside}: not a pickled dict ({type(error).__name__}: {reason})") from None
    if not isinstance(found, dict) or {type(each) for pair in found.items() for each in pair} != {int}:
        raise ValueError(f"{beside}: found {found!r:.60}, expected a dict of image ids and places")
    return sorted(found.items(), key=lambda pair: pair[1])


class _Plain(Bounded):
    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")
