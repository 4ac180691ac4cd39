"""Who may come in: a file of hashed keys, what each may do, and how much of it."""
