"""Is one model better than another, and does it replace the champion: pairing, tests, the gate, and their pages."""
