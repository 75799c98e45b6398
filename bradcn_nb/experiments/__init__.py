"""What the book measures: commands that write `data/results`, with how each number came about."""
