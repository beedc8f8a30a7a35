"""The component that brings together what several pods labelled."""
