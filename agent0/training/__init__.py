"""Training of both agents on TRL."""
