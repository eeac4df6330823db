"""The typed tools the agent calls and the value types they speak in."""
