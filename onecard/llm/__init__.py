"""The language model as `chat` and `triage` use it: tokenizers, chat template, generation."""
