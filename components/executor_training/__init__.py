"""The component that trains the executor agent."""
