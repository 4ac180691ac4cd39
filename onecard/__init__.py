"""onecard's server side: what the models in model_repository/ import."""

__version__ = "0.1.0"
