"""Tables: schemas, where each table lies, and how it is written and read."""
