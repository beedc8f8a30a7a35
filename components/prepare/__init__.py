"""The component that checks the configuration and opens the run."""
