"""The embedded world: arithmetic questions, and a base model trained from scratch to half-solve them."""
