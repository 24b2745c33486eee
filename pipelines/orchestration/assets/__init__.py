"""The assets, a module for each step of the flow. An asset reads, calls one pure function, writes."""
