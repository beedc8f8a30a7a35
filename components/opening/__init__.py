"""The component that opens an evolution's run."""
