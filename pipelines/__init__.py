"""Pipelines as compile-time factories, and their local runner; installed as `agent0_kfp.pipelines`."""
