"""The commands of `onecard`: their options, and what each does."""
