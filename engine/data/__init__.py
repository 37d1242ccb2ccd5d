"""Plays as arrays, and what models learn from: user-item pairs, confidence matrices, train/test splits."""
