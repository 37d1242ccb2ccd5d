"""The families of models: each a frozen dataclass of hyperparameters that fits a confidence matrix."""

from engine.models.als import ALS
from engine.models.base import Trainer
from engine.models.bpr import BPR
from engine.models.ials import IALS
from engine.models.item_knn import ItemKNN
from engine.models.linear_autoencoder import LinearAutoencoder
from engine.models.popularity import Popularity
from engine.models.rp3beta import RP3Beta
from engine.models.slim import SLIM
from engine.models.svd import SVD

FAMILIES: dict[str, type[Trainer]] = {
    f.family: f for f in (ALS, IALS, BPR, SVD, RP3Beta, ItemKNN, SLIM, LinearAutoencoder, Popularity)
}
