"""The embedded models: the world they live in, how they are trained, and how they are measured."""
