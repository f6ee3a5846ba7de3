"""The ops, each with its shape rule, its array code and its derivative beside it."""
