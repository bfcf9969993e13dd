"""What GitHub and GitLab want to be told."""
