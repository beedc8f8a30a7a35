"""The component that leaves a part of the method out."""
