"""How many answers a second, and how long each takes: `python -m benchmarks.load`."""
