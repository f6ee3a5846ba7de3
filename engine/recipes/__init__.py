"""Specs to begin with: examples of every task, and one made for a dataset."""

from engine.recipes.examples import EXAMPLES, Example, examples
from engine.recipes.suggestion import suggest
from engine.recipes.tasks import TASKS, Task, possible_tasks

__all__ = ["EXAMPLES", "Example", "TASKS", "Task", "examples", "possible_tasks", "suggest"]
