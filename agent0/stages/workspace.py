"""Moved to `agent0.storage.workspace`."""

from agent0.storage.workspace import Workspace, clear_workspace, open_workspace

__all__ = ["Workspace", "clear_workspace", "open_workspace"]
