"""The component that trains the curriculum agent."""
