"""The component that makes tasks of what several pods drew."""
