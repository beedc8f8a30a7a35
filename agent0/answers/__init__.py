"""What the answer is, whether two answers are the same, and which answer won."""
