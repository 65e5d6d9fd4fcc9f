"""ONNX files, read and written with the package ``onnx`` (``pip install "binnet[onnx]"``)."""
