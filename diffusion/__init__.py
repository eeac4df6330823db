"""The image core: preference projection, regional attention, guided SDXL and local edits. Knows no agent."""
