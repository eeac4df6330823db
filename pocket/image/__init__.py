"""The pocket SDXL: its modules, its tokenizer and the data it is trained on."""
