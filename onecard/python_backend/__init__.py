"""The side that faces Triton: tensors, errors, streams, uploads, calls from model to model."""
