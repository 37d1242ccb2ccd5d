"""Whether a version may go into service by itself."""

from typing import Any

METRIC = "ndcg@10"


def objection(candidate: dict[str, Any], serving: dict[str, Any] | None, margin: float) -> str:
    """Why `candidate` is held back, or "". Both are manifests; margin: the share of NDCG@10 it may be worse by.

    Versions judged on different kinds of split cannot be compared, nor those with nobody to judge on: they pass.
    """
    if serving is None:
        return ""
    new, old = candidate["report"], serving.get("report", {})
    if new.get("split") != old.get("split") or "model" not in new or "model" not in old:
        return ""
    ours, theirs = new["model"][METRIC], old["model"][METRIC]
    if ours >= theirs * (1 - margin):
        return ""
    return f"NDCG@10 {ours:.4f} is worse than {theirs:.4f} in service by more than the margin of {margin:.0%}"
