"""Rules of a contract on the rows of a delivery: which rows are kept out, which are only reported."""
