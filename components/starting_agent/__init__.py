"""The component that provides an agent to begin with."""
