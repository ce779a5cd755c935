"""What learning changed in the weights, and what that says of how it learned."""
