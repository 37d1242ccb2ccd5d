"""Measure a small transformer on which track is played next, alone and as a component of the fusion.

    pip install torch
    OMP_NUM_THREADS=1 python -m benchmarks.sequence_transformer SESSIONS.txt [--sample 1500] [--share 0.1] [--json OUT]

SESSIONS.txt and the protocol are those of "sessions" in benchmarks/next_track.py: the newest tenth is held out, every
play of it but the first is predicted, and plays of tracks that were never played before are left out. --share fits on
the newest part of the earlier sessions only.

The model has the objective of SASRec (Kang & McAuley 2018, "Self-Attentive Sequential Recommendation"): the next track
at every position. Its layers are residual blocks with normalised inputs, whose outputs are multiplied by learnt gates,
as in LiGR (Borisyuk et al. 2025, "From Features to Transformers: Redefining Ranking for Scalable Impact"). A track has
one vector for input and output, which begins as a factor of the matrix of tracks that were played close to each other.
The softmax is over the tracks of the batch and a sample by popularity, with the logQ correction.

The fusion learns its weights on the newest tenth of the earlier sessions, with a transformer that has not seen them.
It then serves with one that has gone on with the newest of them. PyTorch trains the transformer, and NumPy computes its
scores from arrays; the script fails if both compute different states. The gain is the mean of those of Recall@20 and
MRR@20.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.special import erf, expit, softmax
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.next_track import HELD_OUT, SEED, K, read_sessions, sample_sessions
from engine.data.sessions import Sessions
from engine.evaluation.next_track import PrefixScorer, rank_next_tracks
from engine.models.sequences.base import Arrays, Rows, ScoredItems, SequenceModel, SequenceTrainer, session_weights
from engine.models.sequences.sequence_fusion import DEFAULT_COMPONENTS, SequenceFusion, SequenceFusionModel

Floats = NDArray[np.float32]
Weights = dict[str, Floats]
INPUT_SCALE = 8.0  # the vectors begin with length 0.5
EPSILON = 1e-6  # of the normalisation
OUT_OF_REACH = -1e9  # the affinity to later plays
GOING_ON = 2.0  # epochs
_NEIGHBOURHOOD = 10  # plays between tracks that count as played together
_INITIAL_LENGTH = 0.5  # of the vectors of tracks
_INITIAL_SCALE = 12.0  # of the states
_BETAS = (0.9, 0.99)  # of Adam
_WARM_UP = 100  # steps in which the rates rise, and at most a tenth of all
_BLOCK = 4_000  # sessions among which batches of similar lengths are formed


@dataclass(frozen=True)
class Transformer:
    """The hyperparameters of a causal transformer over the tracks of a session.

    Attributes:
        length: how many of the latest plays it sees.
        factors: length of the vectors of tracks and of the states.
        layers, heads: of the transformer.
        expansion: the inner layers have expansion · factors units.
        dropout: of the input and of each block.
        epochs: how often it sees each session.
        batch: plays in a batch.
        negatives: tracks that are sampled for each batch, beside those in it.
        popularity_power: tracks with n plays are sampled in proportion to n^popularity_power.
        rate: of Adam for the weights of the layers.
        track_rate: of Adam for the vectors of tracks.
        recency: sessions count e^(−recency · age), where the age of the oldest is 1.
        newest: the share of the sessions, the newest, with which a fitted model goes on.
        candidates: how many of the best tracks have a score.
    """

    length: int = 30
    factors: int = 128
    layers: int = 2
    heads: int = 2
    expansion: int = 2
    dropout: float = 0.3
    epochs: float = 4.0
    batch: int = 2_048
    negatives: int = 4_096
    popularity_power: float = 0.75
    rate: float = 1e-3
    track_rate: float = 5e-3
    recency: float = 1.0
    newest: float = 0.3
    candidates: int = 500


@dataclass(frozen=True)
class TransformerModel:
    """The arrays of a transformer with f factors that knows m of the items.

    Attributes:
        trainer: what it was fitted by.
        rows: of the items that were played, ascending, int64 (m,).
        vectors: theirs, float32 (m, f).
        bias: theirs, float32 (m,).
        weights: of the layers, by PyTorch's names.
    """

    trainer: Transformer
    rows: Rows
    vectors: Floats
    bias: Floats
    weights: Weights

    def score(self, prefix: NDArray[np.integer]) -> ScoredItems:
        """Score what may come next, as `SequenceModel.score` does."""
        at = np.searchsorted(self.rows, prefix)
        at = at[np.append(self.rows, -1)[at] == prefix][-self.trainer.length :]
        if not len(at):
            return at, np.zeros(0, np.float32)
        values = self.vectors @ self.state(at) + self.bias
        count = min(self.trainer.candidates, len(values))
        best = np.sort(np.argpartition(values, -count)[-count:])
        values -= values.max()
        scores = np.exp(values[best]) / np.exp(values).sum()
        return self.rows[best], np.maximum(scores, np.finfo(np.float32).tiny)

    def state(self, known: Rows) -> Floats:
        """Compute the state after a session, whose products with the vectors are the scores but for the bias.

        Args:
            known: the tracks of the session, as positions in `rows`, int64 (k,), 1 to `length` of them.

        Returns:
            float32 (f,).
        """
        x = self.vectors[known] * np.float32(INPUT_SCALE) + self.weights["positions"][: len(known)]
        for number in range(self.trainer.layers):
            x = self._layer(x, f"layers.{number}.")
        scale = np.exp(self.weights["log_scale"]) / math.sqrt(self.trainer.factors)
        return np.asarray(_normalize(x[-1], self.weights["norm.weight"]) * scale, np.float32)

    def _layer(self, x: Floats, prefix: str) -> Floats:
        """Apply attention and an inner layer, as `Layer` does: x float32 (k, f)."""
        w = self.weights
        count, heads, size = len(x), self.trainer.heads, self.trainer.factors // self.trainer.heads

        def linear(x: Floats, name: str) -> Floats:
            return x @ w[f"{prefix}{name}.weight"].T + w[f"{prefix}{name}.bias"]

        h = _normalize(x, w[f"{prefix}before_attention.weight"])
        query, key, value = linear(h, "query_key_value").reshape(count, 3, heads, size).transpose(1, 2, 0, 3)
        distance = np.subtract.outer(np.arange(count), np.arange(count))
        affinity = query @ key.transpose(0, 2, 1) / math.sqrt(size)
        affinity = affinity + w[f"{prefix}distances"][:, np.maximum(distance, 0)]
        weights = softmax(np.where(distance < 0, OUT_OF_REACH, affinity), axis=-1).astype(np.float32)
        attended = (weights @ value).transpose(1, 0, 2).reshape(count, heads * size)
        x = x + expit(linear(h, "attention_gate")) * linear(attended, "attended")
        h = _normalize(x, w[f"{prefix}before_inner.weight"])
        inner = linear(h, "inner")
        gelu = inner * (1 + erf(inner / np.float32(math.sqrt(2)))) / 2
        return np.asarray(x + expit(linear(h, "inner_gate")) * linear(gelu, "outer"), np.float32)


def _normalize(x: Floats, weight: Floats) -> Floats:
    """Divide vectors by their root mean square (RMSNorm)."""
    return np.asarray(x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + EPSILON) * weight, np.float32)


class Layer(nn.Module):
    """Attention and an inner layer, both with a normalised input and a gated output that is added to it."""

    def __init__(self, trainer: Transformer) -> None:
        super().__init__()
        f, inner = trainer.factors, trainer.expansion * trainer.factors
        self.heads, self.dropout = trainer.heads, trainer.dropout
        self.before_attention, self.before_inner = nn.RMSNorm(f, eps=EPSILON), nn.RMSNorm(f, eps=EPSILON)
        self.query_key_value, self.attended = nn.Linear(f, 3 * f), nn.Linear(f, f)
        self.inner, self.outer = nn.Linear(f, inner), nn.Linear(inner, f)
        self.attention_gate, self.inner_gate = nn.Linear(f, f), nn.Linear(f, f)
        self.distances = nn.Parameter(torch.zeros(trainer.heads, trainer.length))

    def forward(self, x: Tensor) -> Tensor:
        sessions, count, factors = x.shape
        h = self.before_attention(x)
        parts = self.query_key_value(h).view(sessions, count, 3, self.heads, factors // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        distance = torch.arange(count)[:, None] - torch.arange(count)
        mask = self.distances[:, distance.clamp(min=0)].masked_fill(distance < 0, OUT_OF_REACH)
        weights = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(factors // self.heads) + mask, dim=-1)
        attended = self.attended((weights @ value).transpose(1, 2).reshape(sessions, count, factors))
        x = x + self._drop(torch.sigmoid(self.attention_gate(h)) * attended)
        h = self.before_inner(x)
        outer = self.outer(self._drop(functional.gelu(self.inner(h))))
        return x + self._drop(torch.sigmoid(self.inner_gate(h)) * outer)

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


class Network(nn.Module):
    """The transformer without the vectors of the tracks."""

    def __init__(self, trainer: Transformer) -> None:
        super().__init__()
        self.trainer = trainer
        self.positions = nn.Parameter(0.02 * torch.randn(trainer.length, trainer.factors))
        self.layers = nn.ModuleList(Layer(trainer) for _ in range(trainer.layers))
        self.norm = nn.RMSNorm(trainer.factors, eps=EPSILON)
        self.log_scale = nn.Parameter(torch.tensor(math.log(_INITIAL_SCALE)))

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the states after each play: vectors and states (sessions, plays, f)."""
        x = vectors * INPUT_SCALE + self.positions[: vectors.shape[1]]
        x = functional.dropout(x, self.trainer.dropout, self.training)
        for layer in self.layers:
            x = layer(x)
        states: Tensor = self.norm(x) * (self.log_scale.exp() / math.sqrt(self.trainer.factors))
        return states


def fit_transformer(trainer: Transformer, sessions: Sessions) -> TransformerModel:
    """Learn from sessions."""
    rng = np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    rows, known = _number_tracks(sessions)
    vectors = factorize_neighbourhoods(known, len(rows), trainer, rng)
    table = torch.from_numpy(np.column_stack([vectors, _initial_bias(known, len(rows), trainer)]))
    train(network := Network(trainer), table, known, known, trainer, rng)
    return export(trainer, network, table, rows)


def go_on(model: TransformerModel, sessions: Sessions) -> TransformerModel:
    """Go on with the newest of the sessions, most of which the model has seen."""
    trainer, rng = model.trainer, np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    rows, known = _number_tracks(sessions)
    vectors = np.float32(0.1 * _INITIAL_LENGTH) * _random_vectors(len(rows), trainer.factors, rng)
    bias = _initial_bias(known, len(rows), trainer)
    in_model = np.searchsorted(model.rows, rows)
    is_old = np.append(model.rows, -1)[in_model] == rows
    vectors[is_old], bias[is_old] = model.vectors[in_model[is_old]], model.bias[in_model[is_old]]
    # New tracks begin with the mean of the vectors of the tracks that they were played with.
    pairs = count_pairs(known, len(rows), trainer)[~is_old][:, is_old]
    total = np.maximum(np.asarray(pairs.sum(axis=1)), 1e-30)
    vectors[~is_old] += (pairs @ vectors[is_old] / total).astype(np.float32)
    network, table = Network(trainer), torch.from_numpy(np.column_stack([vectors, bias]))
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in model.weights.items()})
    train(network, table, known.split_newest(trainer.newest)[1], known, replace(trainer, epochs=GOING_ON), rng)
    return export(trainer, network, table, rows)


def train(
    network: Network,
    table: Tensor,
    sessions: Sessions,
    competitors: Sessions,
    trainer: Transformer,
    rng: np.random.Generator,
) -> None:
    """Change a network and a table so that they predict the next plays.

    The softmax is over the tracks of a batch and a sample by popularity. A track counts
    1 / (probability that it is among these): the logQ correction of a sample without repetitions.

    Args:
        network: is changed.
        table: vectors and biases of the tracks, float32 (m, f + 1); is changed.
        sessions: whose plays are predicted.
        competitors: the sessions whose tracks are sampled.
        trainer: the hyperparameters.
        rng: of the batches and samples.
    """
    padded = pad(sessions, trainer.length)
    importance = session_weights(sessions, trainer.recency)
    importance /= np.maximum(importance.mean(), 1e-30) if len(importance) else 1
    play_share = _play_shares(sessions, len(table), trainer)
    sample_share = _play_shares(competitors, len(table), trainer) ** trainer.popularity_power
    sample_share /= max(sample_share.sum(), 1e-30)
    cumulated = np.cumsum(sample_share)
    plan = [batch for _ in range(math.ceil(trainer.epochs)) for batch in batches(sessions, trainer, rng)]
    plan = plan[: round(len(plan) * trainer.epochs / max(math.ceil(trainer.epochs), 1))]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ],
        betas=_BETAS,
    )
    moments = torch.zeros_like(table), torch.zeros_like(table)
    warm_up = min(_WARM_UP, len(plan) // 10 + 1)
    network.train()
    for step, batch in enumerate(plan):
        schedule = min(1.0, (step + 1) / warm_up) * (1 - step / len(plan))
        of_batch = padded[batch][:, : int(sessions.lengths[batch].max())]
        is_play = of_batch >= 0
        sampled = np.searchsorted(cumulated, rng.random(trainer.negatives) * cumulated[-1])
        tracks = np.union1d(of_batch[is_play], sampled)
        # A track that is expected n times is among them with the probability 1 - e^-n.
        expected = is_play.sum() * play_share[tracks] + trainer.negatives * sample_share[tracks]
        correction = torch.from_numpy(-np.log(-np.expm1(-expected)).astype(np.float32))
        local = torch.from_numpy(np.searchsorted(tracks, np.where(is_play, of_batch, tracks[0])))
        is_target = torch.from_numpy(is_play[:, 1:])
        weight = np.broadcast_to(importance[batch].astype(np.float32)[:, None], is_target.shape)[is_play[:, 1:]]

        at = torch.from_numpy(tracks)
        learnt = table[at].requires_grad_()
        states = network(functional.embedding(local[:, :-1], learnt[:, :-1]))[is_target]
        targets = local[:, 1:][is_target]
        of_target = (states * learnt[targets, :-1]).sum(dim=1) + learnt[targets, -1]
        logits = torch.addmm(learnt[:, -1] + correction, states, learnt[:, :-1].T)
        # The target is always in the sum, and needs no correction.
        logits = logits.index_put((torch.arange(len(targets)), targets), of_target)
        loss = ((torch.logsumexp(logits, dim=1) - of_target) * torch.from_numpy(weight)).mean()

        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = trainer.rate * schedule
        optimizer.step()
        _adam_step(table, moments, at, learnt, trainer.track_rate * schedule, step)
    network.eval()


def _adam_step(
    table: Tensor, moments: tuple[Tensor, Tensor], at: Tensor, learnt: Tensor, rate: float, step: int
) -> None:
    """Make a step of Adam in the rows of the tracks of a batch; a step in all rows would take most of the time."""
    gradient = learnt.grad
    assert gradient is not None
    with torch.no_grad():
        mean = moments[0][at].lerp_(gradient, 1 - _BETAS[0])
        square = moments[1][at].mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
        moments[0][at], moments[1][at] = mean, square
        deviation = (square / (1 - _BETAS[1] ** (step + 1))).sqrt_().add_(1e-8)
        table[at] = learnt - rate / (1 - _BETAS[0] ** (step + 1)) * mean / deviation


def pad(sessions: Sessions, length: int) -> NDArray[np.int64]:
    """Return the latest plays of each session, oldest first, and -1 after them, int64 (s, length)."""
    padded = np.full((len(sessions), length), -1)
    from_end = np.repeat(sessions.offsets[1:], sessions.lengths) - np.arange(len(sessions.items))
    padded[np.arange(length) < sessions.lengths[:, None]] = sessions.items[from_end <= length]
    return padded


def batches(sessions: Sessions, trainer: Transformer, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield every session with a next track once, in batches of similar lengths and in random order."""
    lengths = np.minimum(sessions.lengths, trainer.length)
    shuffled = rng.permutation(np.flatnonzero(lengths > 1))
    result: list[NDArray[np.int64]] = []
    for block in np.array_split(shuffled, max(1, len(shuffled) // _BLOCK)):
        by_length = block[np.argsort(lengths[block], kind="stable")]
        number = np.cumsum(lengths[by_length]) // trainer.batch
        result += np.split(by_length, np.flatnonzero(np.diff(number)) + 1)
    for at in rng.permutation(len(result)):
        if len(result[at]):
            yield result[at]


def count_pairs(sessions: Sessions, tracks: int, trainer: Transformer) -> sp.csr_matrix:
    """Count the pairs of different tracks that are played close to each other, each time 1 / distance; (m, m)."""
    session, weight = sessions.session_of_play, session_weights(sessions, trainer.recency)
    pairs = sp.csr_matrix((tracks, tracks))
    for distance in range(1, _NEIGHBOURHOOD + 1):
        at = np.flatnonzero(session[distance:] == session[:-distance])
        entries = weight[session[at]] / distance, (sessions.items[at], sessions.items[at + distance])
        pairs = pairs + sp.csr_matrix(entries, (tracks, tracks))
    pairs = (pairs + pairs.T).tocoo()
    pairs.data *= pairs.row != pairs.col
    return pairs.tocsr()


def factorize_neighbourhoods(
    sessions: Sessions, tracks: int, trainer: Transformer, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the vectors that the tracks begin with: the greatest eigenvectors of a matrix of pairs, float32 (m, f).

    The logarithm of the count of a pair over what the counts of both tracks let expect is factorised by a randomised
    range finder (Halko et al. 2011, "Finding Structure with Randomness").
    """
    pairs = count_pairs(sessions, tracks, trainer).tocoo()
    counts = np.maximum(np.asarray(pairs.sum(axis=1)).ravel(), 1e-9)
    expected = (counts[pairs.row] * counts[pairs.col]) ** 0.75 / math.sqrt(max(counts.sum(), 1e-9))
    logarithms = np.log1p(pairs.data / expected).astype(np.float32)
    matrix = sp.csr_matrix((logarithms, (pairs.row, pairs.col)), (tracks, tracks))
    factors = np.zeros((tracks, trainer.factors), np.float32)
    if tracks:
        basis = rng.standard_normal((tracks, min(trainer.factors + 10, tracks))).astype(np.float32)
        for _ in range(4):
            basis = np.linalg.qr(matrix @ basis)[0]
        values, vectors = np.linalg.eigh(basis.T @ (matrix @ basis))
        greatest = np.argsort(-np.abs(values))[: trainer.factors]
        factors[:, : len(greatest)] = (basis @ vectors[:, greatest]) * np.sqrt(np.abs(values[greatest]))
        factors /= np.maximum(np.linalg.norm(factors, axis=1, keepdims=True), 1e-6)
    return np.float32(_INITIAL_LENGTH) * (factors + np.float32(0.1) * _random_vectors(tracks, trainer.factors, rng))


def export(trainer: Transformer, network: Network, table: Tensor, rows: NDArray[np.int64]) -> TransformerModel:
    """Return what serves, checked against the network that it was copied from.

    Raises:
        AssertionError: NumPy computes other states than PyTorch.
    """
    weights = {name: value.numpy().copy() for name, value in network.state_dict().items()}
    model = TransformerModel(trainer, rows, table[:, :-1].numpy().copy(), table[:, -1].numpy().copy(), weights)
    random = np.random.default_rng(SEED)
    for length in range(1, trainer.length + 1):
        known = random.integers(len(rows), size=length)
        with torch.no_grad():
            expected = network(table[torch.from_numpy(known), :-1][None])[0, -1].numpy()
        np.testing.assert_allclose(model.state(known), expected, rtol=1e-3, atol=1e-3)
    return model


def _number_tracks(sessions: Sessions) -> tuple[NDArray[np.int64], Sessions]:
    """Return the rows that were played, ascending, and the sessions with positions among these for rows."""
    rows, at = np.unique(sessions.items, return_inverse=True)
    return rows.astype(np.int64), replace(sessions, items=at.astype(np.int32))


def _play_shares(sessions: Sessions, tracks: int, trainer: Transformer) -> NDArray[np.float64]:
    weights = session_weights(sessions, trainer.recency)[sessions.session_of_play]
    plays = np.bincount(sessions.items, weights, minlength=tracks)
    return np.asarray(plays / max(plays.sum(), 1e-30))


def _initial_bias(sessions: Sessions, tracks: int, trainer: Transformer) -> NDArray[np.float32]:
    shares = _play_shares(sessions, tracks, trainer)
    return (0.3 * np.log(np.maximum(len(sessions.items) * shares, 1e-2))).astype(np.float32)


def _random_vectors(tracks: int, factors: int, rng: np.random.Generator) -> NDArray[np.float32]:
    return (rng.standard_normal((tracks, factors)) / math.sqrt(factors)).astype(np.float32)


@dataclass(frozen=True)
class Prefitted(SequenceTrainer):
    """Two transformers, without the newest sessions and with them, for a fusion that would fit them."""

    family: ClassVar[str] = "prefitted"
    models: tuple[TransformerModel, TransformerModel]

    def fit(self, sessions: Sessions, items: int, *, seed: int) -> PrefittedModel:
        model = next(model for model in self.models if len(model.rows) == items)
        return PrefittedModel(self, items, model)

    def restore(self, arrays: Mapping[str, NDArray[Any]], items: int) -> SequenceModel:
        raise NotImplementedError("these models are not stored")


@dataclass(frozen=True)
class PrefittedModel(SequenceModel):
    """A transformer whose tracks are numbered as a fusion does; it remembers its answers."""

    model: TransformerModel
    answers: dict[bytes, ScoredItems] = field(default_factory=dict)

    def score(self, prefix: NDArray[np.integer]) -> ScoredItems:
        key = np.asarray(prefix, np.int64).tobytes()
        if key not in self.answers:
            rows, scores = self.model.score(self.model.rows[prefix])
            self.answers[key] = np.searchsorted(self.model.rows, rows), scores
        return self.answers[key]

    def arrays(self) -> Arrays:
        raise NotImplementedError("these models are not stored")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="share of the earlier sessions, the newest, to fit on")
    parser.add_argument("--sample", type=int, default=0, help="how many of the held-out sessions to rank; 0 for all")
    parser.add_argument("--json", type=Path, help="where to write the results")
    options = parser.parse_args()
    past, later = read_sessions(options.file).split_newest(HELD_OUT)
    past = past.split_newest(options.share)[1]
    if 0 < options.sample < len(later):
        later = sample_sessions(later, options.sample)
    cpu = time.process_time()
    first = fit_transformer(Transformer(), past.split_newest(SequenceFusion.holdout)[0])
    print(f"fitted in {time.process_time() - cpu:.0f} s of CPU time", flush=True)
    second = go_on(first, past)
    seconds = time.process_time() - cpu
    print(f"with the newest sessions, {seconds:.0f} s of CPU time", flush=True)
    results = compare(past, later, first, second)
    if options.json:
        options.json.write_text(json.dumps({"cpu_seconds": round(seconds), "results": results}, indent=2) + "\n")


def compare(past: Sessions, later: Sessions, first: TransformerModel, second: TransformerModel) -> list[dict[str, Any]]:
    """Print and return the metrics of the fusion without and with the transformer, and of the transformer alone."""
    items = 1 + max(int(past.items.max()), int(later.items.max()))
    fusion = SequenceFusion().fit(past, items, seed=SEED)
    larger = SequenceFusion((*DEFAULT_COMPONENTS, Prefitted((first, second)))).fit(past, items, seed=SEED)
    assert isinstance(larger, SequenceFusionModel)
    print(f"weights in the mixture, that of the transformer last: {np.round(larger.mixture, 3)}", flush=True)
    is_known = np.bincount(past.items, minlength=items) > 0
    scorers: dict[str, PrefixScorer] = {
        "fusion": fusion.score,
        "fusion with the transformer": larger.score,
        "transformer": second.score,
    }
    results: list[dict[str, Any]] = []
    of_fusion: tuple[float, float] | None = None
    for name, score in scorers.items():
        cpu = time.process_time()
        ranks = rank_next_tracks(score, later, is_known)
        milliseconds = 1_000 * (time.process_time() - cpu) / max(len(ranks), 1)
        results.append({"model": name, **ranks.report(K), "cpu_ms": round(milliseconds, 3)})
        of_fusion = of_fusion or (ranks.recall(K), ranks.mrr(K))
        recall, mrr = ranks.recall(K) / of_fusion[0] - 1, ranks.mrr(K) / of_fusion[1] - 1
        print(
            f"| {name} | {ranks.recall(K):.4f} | {ranks.mrr(K):.4f} | {recall:+.1%} | {mrr:+.1%} | "
            f"{(recall + mrr) / 2:+.1%} | {milliseconds:.2f} |",
            flush=True,
        )
    print(f"{len(ranks):,} plays of {len(later):,} sessions")
    return results


if __name__ == "__main__":
    main()
