"""The lens: thin-lens optics, the classical renderer by depth, the reference, and enlarging."""
