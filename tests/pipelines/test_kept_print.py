"""What Kubeflow's local runner leaves of this process after tasks that ran at once."""

from __future__ import annotations

import builtins
import logging

from kfp.local.logging_utils import indented_print, local_logger_context

from agent0_kfp.pipelines.local_evolution import kept_print_and_logger


def test_tasks_that_run_at_once_leave_print_and_the_root_logger_as_they_were() -> None:
    root = logging.getLogger()
    before = builtins.print, root.level, root.handlers[:]
    with kept_print_and_logger():
        tasks = [(local_logger_context(), indented_print()) for _ in range(2)]
        for task in tasks:
            for context in task:
                context.__enter__()
        for task in tasks:  # the first to begin ends first, and puts back what it found
            for context in task:
                context.__exit__(None, None, None)
        assert (builtins.print, root.level, root.handlers) != before  # Kubeflow's own contexts do not do it
    assert (builtins.print, root.level, root.handlers) == before
