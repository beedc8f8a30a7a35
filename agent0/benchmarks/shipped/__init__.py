"""The benchmarks that come with Agent0, one file each or one for a family; a file that is put here is found.

A file gives `BENCHMARKS`, a tuple of them, or `PREFIX` and `resolve`, which makes the benchmark of a name that begins
so.
"""
