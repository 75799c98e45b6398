"""What the nets cost: parameters, MACs, time and memory, counted and measured."""
