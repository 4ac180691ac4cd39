"""Torch networks on any device: compiled for a CPU, and complex magnitudes on new GPUs."""
