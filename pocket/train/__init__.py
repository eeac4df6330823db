"""Training of the embedded models: one command a model, resumable, with checkpoints and a smoke mode."""
