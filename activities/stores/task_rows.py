"""Rows of the table of tasks as words."""

from sqlalchemy import RowMapping

from contracts.record import TaskRecord
from contracts.steps import Spending
from contracts.task import Task


def record_of(row: RowMapping) -> TaskRecord:
    """A task and its newest known standing."""
    spent = Spending.model_validate({name: row[name] for name in Spending.model_fields})
    return TaskRecord.model_validate({**row, "task": Task.model_validate_json(row["task"]), "spent": spent})
