"""The component that keeps frontier tasks."""
