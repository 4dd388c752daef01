"""ONNX models: sessions and devices, our own models, external ones and their descriptions, licences."""
