"""How the worker runs workflows: without the sandbox, and letting go of a workflow at once when it leaves the cache.

In the SDK, everything that belongs to one workflow refers to each other, so an evicted one stays in memory until Python
looks through all its objects, of which a worker has a million. Taken apart, it is gone at once and no look is needed
(docs/decisions/, "Evicted workflows are taken apart").
"""

import gc

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails


class EvictingWorkflowRunner(UnsandboxedWorkflowRunner):
    """Runs workflows as its base does, and takes evicted ones apart."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """A workflow that is about to run."""
        instance = super().create_instance(det)
        activate = instance.activate

        def activate_and_let_go(act: WorkflowActivation) -> WorkflowActivationCompletion:
            completion = activate(act)
            # The last that is asked of it: its tasks were cancelled and have ended. If that failed it is asked again.
            if any(job.HasField("remove_from_cache") for job in act.jobs):
                _take_apart(instance)
            return completion

        instance.activate = activate_and_let_go  # type: ignore[method-assign]
        return instance


def _take_apart(instance: WorkflowInstance) -> None:
    """Drop whatever may refer back to it. Its plain values stay: by them it knows that it was evicted, if one of its
    tasks has a last word.
    """
    for name in [name for name, value in vars(instance).items() if gc.is_tracked(value)]:
        delattr(instance, name)
