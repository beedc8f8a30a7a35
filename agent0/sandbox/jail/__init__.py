"""What runs inside the sandbox's own processes: supervisor, fork server and the child that confines itself.

Standard library only, and only relative imports: the fork server loads this folder as the top-level package `jail`
of a bare interpreter, without `agent0`, without site packages, without the owner's environment. The owner's side is
in the parent package.
"""
