"""Models and tasks on a hub of Hugging Face's kind: what is pushed, and the card that says what is known of it."""
