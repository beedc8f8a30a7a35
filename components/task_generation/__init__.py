"""The component that draws proposals."""
