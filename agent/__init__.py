"""The conversation: state, state machine, memory, session, settings and command line."""
