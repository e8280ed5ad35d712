"""What waits for a person: sales that came to a point where only somebody who looks can decide."""
