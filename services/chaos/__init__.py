"""``./patchwright chaos``: a task whose processes are killed again and again, and what came of it.

- ``ticket``, ``script``: the project, its ticket, and what the model says; each deed leaves a mark in the tree.
- ``provider``, ``engine``, ``service``: what runs, each as processes of its own.
- ``targets``, ``schedule``, ``storm``: what is killed, when, and how long things take to go on.
- ``watch``, ``reviewer``: who follows the task, and who reviews it.
- ``account``, ``verdict``, ``show``: what is counted, what it is held against, and how it is told.
"""
