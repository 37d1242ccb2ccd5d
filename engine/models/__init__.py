"""The registry of model families. Adding a family means one module, one import and one `register` line here."""

from engine.models.als import ALS
from engine.models.base import Trainer
from engine.models.bpr import BPR
from engine.models.ials import IALS
from engine.models.item_knn import ItemKNN
from engine.models.linear_autoencoder import LinearAutoencoder
from engine.models.popularity import Popularity
from engine.models.repeat import Repeat
from engine.models.rp3beta import RP3Beta
from engine.models.slim import SLIM
from engine.models.sparse_autoencoder import SparseAutoencoder
from engine.models.spectral import Spectral
from engine.models.svd import SVD

FAMILIES: dict[str, type[Trainer]] = {}
"""The registered families by name."""


def register(family: type[Trainer]) -> type[Trainer]:
    """Make a family available to settings, stored configurations and the search; usable as a class decorator.

    Raises:
        ValueError: if another family has the same name.
    """
    if FAMILIES.setdefault(family.family, family) is not family:
        raise ValueError(f"family: {family.family!r} is registered already, by {FAMILIES[family.family].__name__}")
    return family


register(ALS)
register(IALS)
register(BPR)
register(SVD)
register(RP3Beta)
register(ItemKNN)
register(SLIM)
register(LinearAutoencoder)
register(SparseAutoencoder)
register(Spectral)
register(Repeat)
register(Popularity)
