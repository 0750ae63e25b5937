"""The shell: wires adapters to the engine and runs cycles."""
