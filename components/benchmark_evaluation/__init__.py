"""The component that scores an executor."""
