"""The pocket Qwen-VL: its size, its words, the tasks it is trained on, and how it is measured."""
