"""The course: assignments that are built, plugged into the bundled net, and graded."""
