"""A request looked at as a job would be, and not run: is its graph right, what would run?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runtime.cancellation import CancelFlag
from runtime.clock import Clock
from runtime.fetch.uploads import UploadAccess
from runtime.graph.check import CheckReport
from runtime.graph.incoming import Incoming, TypesFor, read_incoming
from runtime.graph.overrides import apply_overrides
from runtime.graph.workflow import parse_workflow
from runtime.ids import new_job_id
from runtime.inputs import fetch_inputs
from runtime.jobs.estimate import Estimate, estimate
from runtime.request import JobRequest
from runtime.workspace import Workspace

if TYPE_CHECKING:
    from runtime.worker import Parts

LONGEST_S = 30.0


def rehearse(parts: Parts, request: JobRequest, tenant: str) -> tuple[str, CheckReport]:
    """The engine that would run the request, and what it finds without waiting for the job at work.

    A model that would be fetched is missing yet.
    Raises what reading the workflow and its input files raises, TimedOut after LONGEST_S.
    """
    flag = CancelFlag(timeout_s=LONGEST_S)
    with Workspace(root=parts.workspace_root, shared_inputs=parts.shared_inputs) as workspace:
        fetch_inputs(
            request.images,
            workspace,
            cancel=flag,
            limits=parts.limits,
            web=parts.web,
            s3=replace(parts.s3, user=tenant) if parts.s3 else None,
            uploads=UploadAccess(store=parts.artifacts, tenant=tenant),
        )
        graph = parse_workflow(laid_over(parts, request, sends_unknown=True))
        engine = parts.engines.choose(graph, request.engine)
        return engine.name, engine.rehearse(graph, workspace)


def estimated(parts: Parts, request: JobRequest, tenant: str) -> tuple[str, Estimate | None]:
    """The engine that would run the request, and how long the tenant's jobs like it took there; None for none."""
    graph = parse_workflow(laid_over(parts, request, sends_unknown=True))
    engine = parts.engines.choose(graph, request.engine).name
    return engine, estimate(parts.jobs, tenant, graph, engine=engine)


def laid_over(parts: Parts, request: JobRequest, *, sends_unknown: bool = False) -> Mapping[str, Any]:
    """The request's workflow in API format, its overrides in place. Raises InvalidRequest or GraphRejected.

    Nodes of the editor's format that the engine does not have are refused unless `sends_unknown`.
    """
    return in_api_format(
        request,
        lambda types: parts.engines.choose_for(types, request.engine).object_info(),
        clock=parts.clock,
        max_nodes=parts.max_nodes,
        sends_unknown=sends_unknown,
    )


def in_api_format(
    request: JobRequest, types_for: TypesFor, *, clock: Clock, max_nodes: int, sends_unknown: bool
) -> Mapping[str, Any]:
    """`laid_over`, by the node types that `types_for` has."""
    read: Incoming = read_incoming(
        request.workflow,
        types_for,
        seed=request.job_id or new_job_id(clock.wall()),
        max_nodes=max_nodes,
        sends_unknown=sends_unknown,
    )
    workflow: Mapping[str, Any] = read.workflow
    return apply_overrides(workflow, request.overrides) if isinstance(workflow, Mapping) else workflow
