"""The images that the components run in unless others are named."""

DEFAULT_IMAGE = "ghcr.io/agent0/agent0-python:0.1.0"
"""Image of pods without GPUs. The local runner warns unless an image's name contains 'python'."""
GPU_IMAGE = "ghcr.io/agent0/agent0-gpu:0.1.0"
"""The same with the CUDA builds of torch and vLLM."""
