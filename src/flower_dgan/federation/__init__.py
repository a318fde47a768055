"""What the ServerApp does: join, rounds, checkpoints, report."""
