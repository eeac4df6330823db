"""The embedded models measured against the exact truth of the pocket world: `python -m pocket.evaluate`."""
