"""Bundles on disk: the aligned npz file, and the folder of versions with its pointer."""
