"""The component that compares the variants of an ablation."""
