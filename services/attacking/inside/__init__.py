"""What is run inside a sandbox. Each public function is one attack: it returns what stopped it, or raises ``Through``.

These files are sent as text: they import the standard library and ``tries`` alone, and run on any Python from 3.8.
"""
