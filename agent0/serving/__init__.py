"""A registered model for others: as a service of KServe, and in Kubeflow's model registry."""
