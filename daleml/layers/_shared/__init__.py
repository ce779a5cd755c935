"""What the layers share: options, checked attributes, and how parameters are read and written."""
