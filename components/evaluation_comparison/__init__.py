"""The component that puts an evaluation together and asks the promotion gate."""
