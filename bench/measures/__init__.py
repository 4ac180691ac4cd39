"""One module for each benchmark; `bench.targets` names them."""
