"""What a model tells Prometheus of its work: streams, audio, stages, calls of the LLM."""
