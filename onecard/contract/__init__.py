"""Tensors, parameters and shapes that models exchange: ours, and those of NVIDIA's backend."""
