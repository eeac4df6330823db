"""Qwen-VL as a LangChain chat model: in process, or behind an OpenAI-compatible server. Knows nobody else in this house."""
