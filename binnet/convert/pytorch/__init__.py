"""PyTorch state dicts and safetensors, read without torch and without executing anything."""
