"""What happens at a pull request: it is opened, watched, answered, mended and handed over."""
