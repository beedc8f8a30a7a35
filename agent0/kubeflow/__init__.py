"""Kubeflow Pipelines from the command line: compile, upload, run, watch, schedule, compare.

The only room of `agent0` that knows kfp. Its modules import it inside functions: the command line starts without it.
"""
