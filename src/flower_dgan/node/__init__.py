"""What a node keeps, and what its owner lets leave it."""
