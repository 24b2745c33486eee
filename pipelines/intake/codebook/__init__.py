"""What the variables of a file mean, from where it can be known, and how two such accounts differ."""
