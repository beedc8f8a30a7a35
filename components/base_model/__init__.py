"""The component that provides the base model."""
