"""Is a namespace of a cluster ready for our pipelines? Looked at from outside, with the rights of whoever asks."""
