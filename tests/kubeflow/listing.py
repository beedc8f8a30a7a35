"""List requests: filtered, sorted, in pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.kubeflow.checking import INVALID, ApiError

Entry = dict[str, Any]


def listed(entries: Mapping[str, Entry], query: Mapping[str, str], field_name: str, **required: str) -> Entry:
    """Answer a list request: filtered, sorted, one page. A page's token holds the request that it goes on with."""
    request = {key: query.get(key, "") for key in ("filter", "sort_by")}
    start = 0
    if token := query.get("page_token"):
        try:
            kept = json.loads(bytes.fromhex(token))
        except ValueError:
            raise ApiError(INVALID, "Invalid page token") from None
        start = kept.pop("start")
        if kept != request:
            raise ApiError(INVALID, "page token does not match the request's filter and order")
    size = int(query.get("page_size") or 20)
    if not 0 < size <= 200:
        raise ApiError(INVALID, f"The page size {size} is out of range")
    chosen = [item for item in entries.values() if all(item.get(key, "") == value for key, value in required.items())]
    chosen = [item for item in chosen if _passes(item, request["filter"])]
    key, _, order = request["sort_by"].partition(" ")
    if (key or "created_at") not in ("created_at", "display_name", "name") or order not in ("", "asc", "desc"):
        raise ApiError(INVALID, f"Invalid sorting field: {request['sort_by']!r}")
    chosen.sort(key=lambda item: str(item[key or "created_at"]), reverse=order == "desc")
    answer: Entry = {field_name: chosen[start : start + size], "total_size": len(chosen)}
    if start + size < len(chosen):
        answer["next_page_token"] = json.dumps({**request, "start": start + size}).encode().hex()
    return answer


def _passes(item: Entry, text: str) -> bool:
    for predicate in json.loads(text).get("predicates", []) if text else []:
        if predicate.get("operation") not in ("EQUALS", 1):
            raise ApiError(INVALID, f"this server knows only EQUALS, not {predicate.get('operation')}")
        value = predicate.get("stringValue", predicate.get("string_value"))
        if str(item.get(predicate["key"], "")) != value:
            return False
    return True
