"""The component that solves tasks and votes."""
