"""From a fresh checkout to a running server: `python -m build_scripts <verb>`."""
