"""``python -m services.cli``: what the launcher runs."""

from services.cli.app import main

if __name__ == "__main__":
    main()
