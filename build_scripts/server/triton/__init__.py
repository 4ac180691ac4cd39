"""What Triton's own process shows, shares and leaves behind, and how it ends."""
