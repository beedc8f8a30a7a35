"""The component that checks an ablation and lists its variants."""
