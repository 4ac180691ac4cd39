"""NVIDIA's `tensorrtllm` contract served on the CPU.

Contract: settings (configuration), request (tensors in), answer (tensors out), refusal (errors),
service (what happens to the requests of one call). Engines: whisper (encoder-decoder).
"""
