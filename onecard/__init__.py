"""onecard's server side: what the models in model_repository/ import."""
