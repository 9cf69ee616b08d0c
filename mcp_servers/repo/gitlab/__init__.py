"""GitLab, gitlab.com or a server of one's own."""
