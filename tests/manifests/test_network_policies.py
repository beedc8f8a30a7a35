"""Who may call whom: what the network policies of the built overlays let through."""

from __future__ import annotations

from typing import Any

from agent0.training.kubernetes_api import JOB_LABEL
from tests.manifests.building import GPU, MANIFESTS, OURS, PROFILE, built, documents, one


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector chooses a pod with these labels."""
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "Exists" for expression in expressions)
    return selector.get("matchLabels", {}).items() <= labels.items() and all(e["key"] in labels for e in expressions)


def lets_through(objects: list[dict[str, Any]], source: dict[str, str], target: dict[str, str]) -> bool:
    """Whether pods with labels `source` may call those with `target` in the same namespace, on any port."""
    for direction, key, chosen, other in (("Egress", "to", source, target), ("Ingress", "from", target, source)):
        policies = [
            o["spec"] for o in objects if o["kind"] == "NetworkPolicy" and matches(o["spec"]["podSelector"], chosen)
        ]
        policies = [policy for policy in policies if direction in policy["policyTypes"]]
        rules = [rule for policy in policies for rule in policy[direction.lower()] if "ports" not in rule]
        peers = [peer["podSelector"] for rule in rules for peer in rule[key] if "podSelector" in peer]
        if policies and not any(matches(selector, other) for selector in peers):
            return False
    return True


def test_steps_are_closed_to_callers_and_reach_only_names_services_and_https() -> None:
    for path in (MANIFESTS / "base" / "network-policies.yaml",):
        (policy,) = documents(path)
        assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        assert policy["spec"]["ingress"] == []
        for rule in policy["spec"]["egress"]:
            outside = "to" not in rule or any("ipBlock" in peer for peer in rule["to"])
            ports = {port["port"] for port in rule.get("ports", [])}
            assert not outside or ports in ({53, 5353}, {443, 6443})


def test_names_are_asked_of_any_resolver_a_cache_on_the_node_included() -> None:
    policies = [o for folder in OURS for o in built(folder) if o["kind"] == "NetworkPolicy"]
    closed = [policy["spec"] for policy in policies if "Egress" in policy["spec"]["policyTypes"]]
    assert closed
    for spec in closed:
        names = [rule for rule in spec["egress"] if "to" not in rule]
        assert [{(port["protocol"], port["port"]) for port in rule["ports"]} for rule in names] == [
            {("UDP", 53), ("TCP", 53), ("UDP", 5353), ("TCP", 5353)}
        ]


def test_nodes_of_a_trainjob_reach_each_other_and_the_step_that_serves_them_and_nobody_else_reaches_either() -> None:
    step, node, stranger = {"pipelines.kubeflow.org/v2_component": "true"}, {JOB_LABEL: "job"}, {"app": "notebook"}
    with_jobs, without = built(GPU), built(PROFILE)
    calls = [(node, node), (node, step), (step, node), (step, step), (stranger, node), (stranger, step)]
    assert [lets_through(with_jobs, *call) for call in calls] == [True, True, False, False, False, False]
    assert not lets_through(without, node, step)


def test_the_pod_that_asks_for_mlflow_is_a_step_to_network_policies() -> None:
    (pod,) = documents(MANIFESTS / "ask-mlflow.yaml")
    steps = one(built(PROFILE), "NetworkPolicy", "agent0-steps")
    assert matches(steps["spec"]["podSelector"], pod["metadata"]["labels"])
