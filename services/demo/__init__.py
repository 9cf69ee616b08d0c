"""The demo: one ticket's whole way on this machine. Everything is real but the model's answers.

- ``project``: a small project with a real bug, and its remote (a bare repository).
- ``script``: what the model "says", for the scripted model server.
- ``story``: the person in it: submits the ticket, asks for a change, approves, and checks that every door was passed.
- ``show``: starts everything, shows it, and clears it away.
"""
