"""Offline evaluation: the ground truth, ranking metrics, bootstrap intervals and the report of them all."""
