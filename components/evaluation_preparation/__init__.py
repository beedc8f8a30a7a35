"""The component that checks an evaluation and opens its run."""
