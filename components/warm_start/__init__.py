"""The component that scores the base model."""
