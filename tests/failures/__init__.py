"""What happens when processes, servers and connections die."""
