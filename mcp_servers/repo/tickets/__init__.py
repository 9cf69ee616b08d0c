"""Comments on tickets: beside the code on GitHub and GitLab, and in Jira and Linear."""
