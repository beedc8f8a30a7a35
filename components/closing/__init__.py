"""The component that closes a pipeline's runs."""
