"""Measure how many requests a second the production server answers, and how long each takes."""
