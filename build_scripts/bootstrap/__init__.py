"""Brings a fresh checkout to where packages can be imported; the standard library is all it has."""
