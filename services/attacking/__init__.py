"""``./patchwright doctor --attack``: this machine's sandbox is attacked for real, and what stopped each attack is told.

- ``inside``: the attacks, as ordinary Python that is sent into the sandbox as text and run there.
- ``returning``: attacks on what comes back out of a sandbox into a repository.
- ``traps``: what listens, lies and lives outside, and must see nothing of it.
- ``lasting``: attacks that outlive their command, or that only the world outside can judge.
- ``attack``: runs every one against one tier.
"""
