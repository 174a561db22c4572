"""One strategy a file; each says what it minimises."""
