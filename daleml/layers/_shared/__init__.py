"""Parts that the layers share: options, checked attributes, and access to parameters."""
