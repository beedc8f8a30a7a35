"""The component that draws the report."""
