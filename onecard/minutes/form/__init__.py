"""A caller's own JSON schema, filled in from findings that cite."""
