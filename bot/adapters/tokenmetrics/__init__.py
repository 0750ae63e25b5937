"""The Token Metrics API, v2 and v3: asked, recorded, read. Whatever does not fit is refused with a named reason."""
