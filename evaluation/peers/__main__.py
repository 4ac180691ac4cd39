"""`python -m evaluation.peers setup|lock`."""

from build_scripts import errors
from evaluation.peers import environment

errors.run(environment.main)
