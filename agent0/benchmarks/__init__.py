"""What an evaluation asks: benchmarks, their rows, and the rules by which an answer counts; see `catalogue`."""
